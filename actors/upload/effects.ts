// What an upload does to others: has its node remove the file.
import type { Performers } from '../kernel/ports.ts';
import { machineRef } from '../node/machine-message.ts';
import type { UploadMessage, UploadState } from './state.ts';
import type { UploadEffect } from './upload.ts';

export function uploadPerformers(): Performers<UploadState, UploadMessage, UploadEffect> {
  return {
    'remove-file': async ({ node }, context) => {
      await context.ask(machineRef(node), { kind: 'spool-remove', id: context.self.id });
      return { kind: 'file-removed' };
    },
  };
}
