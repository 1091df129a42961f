import assert from 'node:assert/strict';
import { test } from 'node:test';
import { userOf } from './context.ts';

const encoded = (text: string) => Buffer.from(text).toString('base64');

test('a call has the name of its user, never a password, a token, or what no user can be called', () => {
  assert.equal(userOf(encoded('ada:secret')), 'ada');
  assert.equal(userOf(encoded('ada:sec:ret')), 'ada');
  for (const other of [
    '',
    'token',
    ':secret',
    'restore job 5:x',
    '1ada:x',
    'a\nb:x',
    `${'a'.repeat(65)}:x`,
    'ä:x',
  ])
    assert.equal(userOf(encoded(other)), undefined, other);
  assert.equal(userOf(undefined), undefined);
  assert.equal(userOf('no base64!'), undefined);
});
