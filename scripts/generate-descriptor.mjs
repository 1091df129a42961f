// Makes src/proxy/wire/descriptor.generated.ts: the names of all RPCs of the Milvus service, the messages that the served
// ones need (a protobufjs JSON root) and their TypeScript shapes. Source: the descriptor inside the official Node client.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const source = join(root, 'node_modules/@zilliz/milvus2-sdk-node/dist/milvus/proto-json/milvus.js');
export const inputs = [source];
export const output = join(root, 'src/proxy/wire/descriptor.generated.ts');

/** The RPCs with an entry in src/proxy/service.ts; the compiler compares the two lists. */
const served = `
  Connect GetVersion CheckHealth GetComponentStates AllocTimestamp
  CreateDatabase DropDatabase ListDatabases DescribeDatabase AlterDatabase
  AlterCollection AddCollectionField TruncateCollection AlterCollectionField AlterIndex
  AlterCollectionSchema AddCollectionStructField GetReplicas
  CreateCollection DropCollection HasCollection DescribeCollection BatchDescribeCollection ShowCollections RenameCollection
  GetCollectionStatistics
  LoadCollection ReleaseCollection GetLoadState GetLoadingProgress LoadPartitions ReleasePartitions
  CreatePartition DropPartition HasPartition ShowPartitions GetPartitionStatistics
  CreateAlias AlterAlias DropAlias DescribeAlias ListAliases
  CreateIndex DescribeIndex DropIndex GetIndexState GetIndexBuildProgress GetIndexStatistics
  Insert Upsert Delete Flush GetFlushState FlushAll GetFlushAllState
  Search HybridSearch Query RunAnalyzer ComputePhraseMatchSlop
  GetPersistentSegmentInfo GetQuerySegmentInfo ListIndexedSegment
  ManualCompaction GetCompactionState GetCompactionStateWithPlans
  CreateSnapshot DropSnapshot ListSnapshots DescribeSnapshot RestoreSnapshot GetRestoreSnapshotState
  ListRestoreSnapshotJobs PinSnapshotData UnpinSnapshotData
`
  .trim()
  .split(/\s+/);
/** Messages that travel as bytes inside others, and the shapes the tests check the hand-written codecs with. */
const extraMessages = ['schema.CollectionSchema', 'common.PlaceholderGroup'];
const PACKAGE = 'milvus.proto';
const SERVICE = `${PACKAGE}.milvus.MilvusService`;

const scalarTypes = {
  double: 'number',
  float: 'number',
  int32: 'number',
  uint32: 'number',
  int64: 'bigint',
  uint64: 'bigint',
  bool: 'boolean',
  string: 'string',
  bytes: 'Uint8Array',
};

const at = (json, path) => path.split('.').reduce((node, name) => node?.nested?.[name], json);

/** The full name `type` means inside `scope`: the innermost match wins, as protobuf resolves names. */
function resolve(json, scope, type) {
  const parts = scope.split('.');
  for (let n = parts.length; n >= 0; n--) {
    const name = [...parts.slice(0, n), type].join('.');
    const node = at(json, name);
    if (node?.fields || node?.values) return name;
  }
  throw new Error(`${type} in ${scope} is not in the descriptor`);
}

/** Every message and enum that `starts` reach. */
function reach(json, starts) {
  const seen = new Set();
  const queue = [...starts];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    for (const field of Object.values(at(json, name).fields ?? {}))
      if (!scalarTypes[field.type]) queue.push(resolve(json, name, field.type));
  }
  return [...seen].sort();
}

function prune(json, names) {
  const pruned = { nested: {} };
  for (const name of names) {
    const { fields, values, oneofs } = at(json, name);
    const path = name.split('.');
    const last = path.pop();
    let node = pruned;
    for (const part of path) {
      node.nested ??= {};
      node.nested[part] ??= {};
      node = node.nested[part];
    }
    node.nested ??= {};
    const kept = Object.entries(fields ?? {}).map(([key, field]) => [
      key,
      { ...field, ...(scalarTypes[field.type] ? {} : { type: `.${resolve(json, name, field.type)}` }) },
    ]);
    node.nested[last] = {
      ...node.nested[last],
      ...(values ? { values } : { fields: Object.fromEntries(kept), ...(oneofs ? { oneofs } : {}) }),
    };
  }
  return pruned;
}

const shapeName = (name) =>
  name
    .split('.')
    .slice(2)
    .map((part) => part[0].toUpperCase() + part.slice(1))
    .join('');

function shape(json, name) {
  const { fields, values, oneofs } = at(json, name);
  if (values) return '';
  const inOneof = new Set(Object.values(oneofs ?? {}).flatMap((entry) => entry.oneof));
  const lines = Object.entries(fields).map(([key, field]) => {
    const target = scalarTypes[field.type] ? undefined : resolve(json, name, field.type);
    const isMessage = target !== undefined && at(json, target).fields !== undefined;
    const type = scalarTypes[field.type] ?? (isMessage ? shapeName(target) : 'number');
    if (field.keyType) return `  ${key}: Record<string, ${type}>;`;
    if (field.rule === 'repeated') return `  ${key}: ${type}[];`;
    return isMessage || inOneof.has(key) ? `  ${key}?: ${type} | null;` : `  ${key}: ${type};`;
  });
  return `export interface ${shapeName(name)} {\n${lines.join('\n')}\n}\n`;
}

export function generate() {
  const json = createRequire(import.meta.url)(source).default;
  const { methods } = at(json, SERVICE);
  const missing = served.filter((name) => !methods[name]);
  if (missing.length > 0) throw new Error(`not in the descriptor: ${missing.join(' ')}`);
  const typeOf = (type) => resolve(json, SERVICE, type);
  const starts = served.flatMap((name) => [
    typeOf(methods[name].requestType),
    typeOf(methods[name].responseType),
  ]);
  const names = reach(json, [...starts, ...extraMessages.map((name) => `${PACKAGE}.${name}`)]);
  const rpcs = served.map(
    (name) =>
      `  ${name}: { request: ${shapeName(typeOf(methods[name].requestType))}; response: ${shapeName(typeOf(methods[name].responseType))} };`,
  );
  const types = Object.fromEntries(
    served.map((name) => [
      name,
      { request: typeOf(methods[name].requestType), response: typeOf(methods[name].responseType) },
    ]),
  );
  writeFileSync(
    output,
    `// Made by scripts/generate-descriptor.mjs. Do not edit.
/* biome-ignore-all lint: generated */
export const serviceName = '${SERVICE}';
/** Every RPC of the service, served or not. */
export const allRpcs: readonly string[] = ${JSON.stringify(Object.keys(methods))};
/** Full message names of the served RPCs. */
export const rpcTypes = ${JSON.stringify(types)} as const;
/** A protobufjs root with what the served RPCs reach. */
export const descriptorJson = ${JSON.stringify(JSON.stringify(prune(json, names)))};
/** Messages by RPC. Decoded, every scalar and list is present. */
export interface Rpcs {
${rpcs.join('\n')}
}
${names.map((name) => shape(json, name)).join('')}`,
  );
}
