import { constants } from 'node:os';

/** Node has no name for a used-up quota: its code is `Unknown system error`, with the number of the system. */
const QUOTA = -constants.errno.EDQUOT;

/** Whether an error of a file operation says that there is no space: the device is full, or the quota used up. */
export const isDiskFull = (error: unknown): boolean => {
  const { code, errno } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  return code === 'ENOSPC' || code === 'EDQUOT' || errno === QUOTA;
};
