export { scanBits } from './bits';
export { chainDuplicates, insertRows } from './build';
export { drain, inverseNorm, readPass, scan, writeInverseNorms } from './flat';
export { checkGraph, searchGraph } from './graph';
export { addBestBitKeys, addBestKeys, offerKeys } from './lists';
