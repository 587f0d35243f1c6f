// What a benchmark reports.

/** Our figure beside the floor that was measured in the same run. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  /** 0: there is none. */
  readonly floor: number;
  readonly unit: string;
}

export type Report = (row: Row) => void;
