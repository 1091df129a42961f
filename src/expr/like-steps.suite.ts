/** How many bytes of a text a `like` pattern looks at. */
import { likeTest } from './like.ts';
import { utf8 } from './text.ts';

export function run(pattern: string, text: string): number {
  let steps = 0;
  const counted = new Proxy(utf8(text), {
    get(bytes, key) {
      steps++;
      return Reflect.get(bytes, key, bytes);
    },
  });
  likeTest(pattern)(counted, 0, counted.length);
  return steps;
}
