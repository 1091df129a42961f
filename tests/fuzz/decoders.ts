/** Every decoder of bytes from outside. `fuzz.test.ts` compares the list with the modules that decode. */
import type { Decoder } from './harness.ts';
import { sentDecoders } from './sent.ts';
import { storedDecoders } from './stored.ts';
import { textDecoders } from './texts.ts';
import { toldDecoders } from './told.ts';
import { typedDecoders } from './typed.ts';

export const decoders: readonly Decoder[] = [
  ...storedDecoders,
  ...sentDecoders,
  ...textDecoders,
  ...toldDecoders,
  ...typedDecoders,
];
