export { drain, inverseNorm, readPass, scan, writeInverseNorms } from './flat';
