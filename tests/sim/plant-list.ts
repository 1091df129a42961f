/** Every bug that is planted, by name. */

import type { Planted } from './plants.ts';
import { alterPlants } from './plants-alter.ts';
import { asidePlants } from './plants-asides.ts';
import { jobPlants } from './plants-jobs.ts';
import { keptPlants } from './plants-kept.ts';
import { rowPlants } from './plants-rows.ts';

export const plantList: readonly Planted[] = [
  ...rowPlants,
  ...alterPlants,
  ...jobPlants,
  ...asidePlants,
  ...keptPlants,
];
