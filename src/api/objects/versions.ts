// The format numbers that existing clients see in views (contract: nodes 6.2). They say nothing of what is stored here.
export const OBJECT_VERSIONS = {
  agentoperation: 1,
  artifact: 6,
  blob: 6,
  instance: 14,
  ipam: 5,
  namespace: 5,
  network: 6,
  networkinterface: 3,
  node: 7,
} as const;
