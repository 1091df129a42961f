export { scanBits } from './bits';
export { chainDuplicates, linkBack, proposeLinks } from './build';
export { drain, inverseNorm, readPass, scan, writeInverseNorms } from './flat';
export { checkGraph, searchGraph } from './graph';
export { addToMean, farthest, nearestPivots, writeGrid } from './grid';
export { addBestBitKeys, addBestKeys, offerKeys } from './lists';
