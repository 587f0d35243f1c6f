// The store on a real etcd keeps the store's contract.
import { conformance } from './conformance.ts';
import { etcdHarness } from './etcd-harness.ts';

conformance('etcd store', etcdHarness);
