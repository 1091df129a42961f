import { MemoryStore } from './memory.ts';
import { objectStoreSuite } from './object-store.suite.ts';

objectStoreSuite(
  'memory',
  () => Promise.resolve(new MemoryStore(() => 0)),
  async (store, name, sizeBytes) => store.leaveTemporary(name, sizeBytes),
);
