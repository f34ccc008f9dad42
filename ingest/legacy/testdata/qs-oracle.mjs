// Makes the golden files beside it: what npm qs and Node's querystring make of generated strings.
//
//   npm install --prefix /tmp/qs qs@6.17.1
//   node qs-oracle.mjs qs 500 1 /tmp/qs | gzip -9n > qs-golden.json.gz
//   node qs-oracle.mjs querystring 400 1 | gzip -9n > querystring-golden.json.gz
//
// The files are compressed, since they were a sixth of the tree; zcat shows them.
//
// The arguments are the decoder, the number of cases, the seed, and for qs the folder that holds node_modules.
// Inputs are bytes and stand in the files as Latin-1, one character for each byte.

import { createRequire } from 'node:module';
import path from 'node:path';
import querystring from 'node:querystring';

const [decoder, count, seed, folder] = process.argv.slice(2);

// mulberry32: the same cases for the same seed.
let state = Number(seed) >>> 0;
function random(n) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const pick = (list) => list[random(list.length)];
const several = (most, make) => Array.from({ length: random(most + 1) }, make).join('');

const names = ['id', 'message', 'data', 'a'];
const groups = [
  '[]', '[]', '[0]', '[0]', '[1]', '[2]', '[3]', '[k]', '[m]', '[id]', '%5B%5D', '%5b0%5d', '%5B1%5D', '[99]', '[100]',
  '[101]', '[150]', '[99999999]', '[4294967294]', '[4294967295]', '[4294967296]', '[9007199254740991]',
  '[9007199254740992]', '[9007199254740993]', '[100000000000000000000]', '[1000000000000000000000]', '[05]', '[-1]',
  '[ 1]', '[1e3]', '[1.5]', '[+]', '[__proto__]', '[toString]', '[constructor]', '[length]', '[a b]', '[%D0%B2]',
  '[%D0]', '[%]', '[%255B]', '[[]]', '[[0]]', '[k][', '[', ']', ']]', '[[', '[]]', 'x', '.y', '[k]x', '[=]', '%5B',
];
const meeting = ['[]', '[0]', '[0]', '[0]x', '[0]y', '[1]', '[1]x', '[2]', '[k]', '[k]x', '[99]', '[100]', '[200]', '[9007199254740992]'];
const values = [
  '', 'a', 'b', 'c', 'd', 'a+b', 'a%20b', '%2B', '%5B1%2C2%5D', '[1]', '[1]=2', '%5B1%5D=2', '=', '==', 'x=y', '%', '%4',
  '%zz', '%5B%zz+', '%E0%A4%A', '%D0%B2%D0%B0%D1%81%D1%8F', '%D0%zz', '%C0%80', '%ED%A0%80', '%F0%9F%98%80', '%F4%90%80%80',
  '\xd0\xb2', '\xff', '\xe2\x82', '\xf0\x9f\x98x', '\xed\xa0\x80', '%00', '{"k":1}', 'a,b', 'a;b=c', '#', '?',
];
const hostile = [...'id[[]]==&&%%%5BD02+ab;', '%5B', '%5D', '%D0', '%B2', '\xd0', '\xb2', '\xff', '[]', ']=', 'id', '[0]'];

function key() {
  switch (random(12)) {
    case 0: return `[${pick(names)}]` + several(3, () => pick(groups));
    case 1: return pick(names) + several(40, () => pick(['[]', '[0]', '[k]']));
    case 2: return several(4, () => pick(groups));
    case 3: return pick(names);
    default: return pick(names.slice(0, random(names.length) + 1)) + several(3, () => pick(groups));
  }
}
function form() {
  switch (random(16)) {
    case 0: return several(60, () => pick(hostile));
    case 1: // enough parameters to raise arrayLimit
      return Array.from({ length: 95 + random(30) }, (_, i) => `id${pick(['', '[]', `[${i}]`, '[120]'])}=${i}`).join('&');
    case 2: return '\xef\xbb\xbf' + `id=${pick(values)}`;
    case 3: case 4: case 5: case 6: case 7: // keys that meet each other
      return Array.from({ length: random(15) + 1 }, () => pick(['id', 'id', '[id]']) + several(4, () => pick(meeting))
        + '=' + pick(['', 'a', 'b', 'c'])).join('&');
  }
  const few = pick([1, 2, 3, 5, 9, 20]);
  return Array.from({ length: few }, () => key() + pick(['=', '=', '=', '=', '', '%3D']) + pick(values))
    .join(pick(['&', '&', '&&']));
}
function query() {
  if (random(8) === 0) return several(60, () => pick(hostile));
  return several(12, () => pick(['a', 'b', 'c', '1', 'id', ...groups, ...values]) + pick(['=', '=', '', '&&']) + pick(values) + '&');
}

function toText(value) {
  if (Array.isArray(value)) return value.map(toText).join(',');
  return typeof value === 'object' ? '[object Object]' : value;
}

function makeQS() {
  const qs = createRequire(path.resolve(folder, 'x.js'))('qs');
  return (input) => {
    const body = Buffer.from(input, 'latin1').toString().replace(/^\ufeff/, '');
    const result = qs.parse(body, {
      allowPrototypes: true,
      arrayLimit: Math.max(100, body.split('&').length),
      depth: 32,
      parameterLimit: Infinity,
    });
    const want = {};
    for (const name of names) {
      if (!Object.hasOwn(result, name)) continue;
      const value = result[name];
      want[name] = { text: toText(value), texts: typeof value === 'object' ? Object.values(value).map(toText) : [value] };
    }
    return want;
  };
}

// Bare bytes are escaped first: Node would take them for Latin-1. Names are listed as they first appear, where an
// object would put numbers first.
function makeQuerystring() {
  return (input) => {
    const raw = input.replace(/[^\0-\x7f]/g, (c) => '%' + c.charCodeAt(0).toString(16));
    const parse = (s) => querystring.parse(s, '&', '=', { maxKeys: 0 });
    const result = parse(raw);
    const order = new Set(raw.split('&').flatMap((part) => Object.keys(parse(part))));
    return [...order].map((name) => ({ name, values: [result[name]].flat() }));
  };
}

const [decode, generate] = decoder === 'qs' ? [makeQS(), form] : [makeQuerystring(), query];
const lines = Array.from({ length: Number(count) }, () => {
  const input = generate();
  return JSON.stringify({ input, want: decode(input) });
});
process.stdout.write('[\n' + lines.join(',\n') + '\n]\n');
