/** Told what was done, in units of about ten nanoseconds. Undefined: go on; otherwise to be awaited. */
export type Paced = (units: number) => Promise<void> | undefined;
