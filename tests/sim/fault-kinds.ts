/** Every kind of fault that the simulation injects, and what happens then. The end of a run counts them. */

export const faultKinds = {
  // The coordinator's own view of object storage.
  'store error-before': 'a call fails and nothing has happened',
  'store error-after': 'a call has happened and its answer is lost',
  'store full': 'a call fails because storage is full',
  'store slow': 'a call takes long, before or after its effect',
  'store list-breaks': 'a listing breaks off somewhere',
  'store list-stale': 'a listing lacks what was put of late, or still shows what was deleted',
  'store read-short': 'a read breaks off after some bytes',
  'store put-torn': 'a put fails and leaves a part of the object',
  'store crash-before': 'the process dies at a call, which has not happened',
  'store crash-after': 'the process dies at a call, which has happened',
  'store crash-torn': 'the process dies in the middle of a put',
  // Object storage as data nodes see it.
  'node.store error-before': 'as above, on a data node',
  'node.store error-after': 'as above, on a data node',
  'node.store full': 'as above, on a data node',
  'node.store slow': 'as above, on a data node',
  'node.store read-short': 'as above, on a data node',
  'node.store put-torn': 'as above, on a data node',
  'node.store copy-torn': 'a copy fails and leaves a part of the object',
  'node.store crash': 'a data node dies at a call to storage',
  // The catalog.
  'kv error-before': 'a commit fails and nothing has happened; the process cannot know and ends',
  'kv error-after': 'a commit has happened and its answer is lost; the process ends',
  'kv full': 'a commit is refused because the disk is full',
  'kv read-error': 'a read of the catalog at start fails',
  'kv slow': 'a call takes long, before or after its effect',
  'kv crash-before': 'the process dies at a call, which has not happened',
  'kv crash-after': 'the process dies at a commit, which has happened',
  // The log.
  'log torn': 'a crash leaves a part of a record, cut at any byte',
  'log garbage': 'behind the tear stands garbage',
  'log hole': 'records behind the torn one have reached the disk',
  'log kept': 'records that were not acknowledged have reached the disk',
  'log broken': 'a sync fails: nobody knows what the disk has',
  'log full': 'the disk takes no records for a while',
  'log slow': 'a sync takes long',
  // Messages between the coordinator and data nodes.
  'command lost': 'a command does not arrive',
  'command answer-lost': 'a command arrives and its answer does not',
  'command slow': 'a command or its answer comes late',
  'command late': 'a command arrives when its caller has given it up',
  'command repeated': 'a command arrives once more later',
  'command reordered': 'a command arrives behind one that was sent after it',
  'report lost': 'a report does not arrive',
  'report late': 'a report arrives late',
  'report repeated': 'a report arrives twice',
  'report stale': 'the end of an attempt is told again much later',
  'report reordered': 'a report arrives behind one that was sent after it',
  'report to-a-successor': 'a report of an attempt arrives at a coordinator that has not sent it',
  // Messages between the coordinator and the planes.
  'plane answer-late': 'an answer of the query or streaming node comes late',
  // Processes.
  'crash all': 'every process dies',
  'crash coordinator': 'the coordinator dies; data nodes go on',
  'crash at-await': 'it dies between two awaits',
  'node lost': 'a data node dies',
  'node cut': 'a data node is cut off and goes on working',
  'node suspended': 'a data node is cut off and stands still',
  'node stalled': 'a data node renews its lease and stands still',
  'node back-other-id': 'another data node takes the place of a lost one',
  'node back-other-slots': 'a lost data node returns with other slots',
  'node gone-for-good': 'faults stop, and one data node does not return',
  // Clocks.
  'clock jump': 'time goes on at once, as when the machine slept',
  'clock forward': 'the wall clock of the coordinator is put forward',
  'clock back': 'the wall clock of the coordinator is put back',
  'clock behind': 'the clock of a restart is behind the one before',
  // Bytes.
  damage: 'an object loses its end, a bit or itself',
  temporary: 'a writer dies and leaves a temporary file',
} as const;

export type FaultKind = keyof typeof faultKinds;
