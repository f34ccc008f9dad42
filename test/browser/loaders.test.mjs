// Whatever loads the served script, it gets the client that registers again after a reconnect: a script tag, RequireJS, a
// CommonJS shim, `import`, workers. And the script remembers what the server took, no more and no less.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Embedded, launch, Site, until, withPage } from './harness.mjs';

let server, site, browser;
before(async () => {
  [server, site, browser] = await Promise.all([Embedded.start(), Site.start(), launch()]);
  site.pages.set('/require.js', readFileSync(new URL('node_modules/requirejs/require.js', import.meta.url), 'utf8'));
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

const options = (more = {}) => JSON.stringify({ reconnectionDelay: 100, reconnectionDelayMax: 200, ...more });

/** A page that registers once, as those of 2014 do. `hear` is a function of the page that gets each event. */
const listen = (id, hear = 'hear', more) => `
  var socket = io('${server.url}', ${options(more)});
  socket.emit('register', {userid: '${id}'});
  socket.on('n', ${hear});`;
const page = (html) => `<!doctype html><meta charset="utf-8"><script>
  var heard = [];
  function hear(text) { heard.push(text); }
</script>${html}`;
const inWorker = 'function (text) { postMessage(text); }';

const loaders = {
  'a script tag': (js) => page(`<script src="${js}"></script><script>${listen('a script tag')}</script>`),
  'a script tag with crossorigin, later': (js, _, id) => page(`<script>
    var tag = document.createElement('script');
    tag.src = '${js}';
    tag.crossOrigin = 'anonymous';
    tag.onload = function () { ${listen(id)} };
    document.head.appendChild(tag);</script>`),
  RequireJS: (js, _, id) => page(`<script src="/require.js"></script><script>
    requirejs.config({paths: {io: '${js.replace(/\.js$/, '')}'}});
    require(['io'], function (io) { if (window.io) throw new Error('a global io'); ${listen(id)} });</script>`),
  'a CommonJS shim': (js, _, id) => page(`<script>var exports = {}, module = {exports: exports};</script><script src="${js}"></script><script>
    if (window.io) throw new Error('a global io');
    (function (io) { ${listen(id)} })(module.exports);</script>`),
  'an ES module': (_, esm, id) => page(`<script type="module">import { io } from '${esm}'; ${listen(id)}</script>`),
  'an ES module, by its default': (_, esm, id) => page(`<script type="module">import io from '${esm}'; ${listen(id)}</script>`),
  'a worker': (js, _, id) => {
    site.pages.set('/worker.js', `importScripts('${js}'); ${listen(id, inWorker)}`);
    return page("<script>new Worker('/worker.js').onmessage = function (e) { hear(e.data); };</script>");
  },
  'a worker that is a module': (_, esm, id) => {
    site.pages.set('/worker.mjs', `import { io } from '${esm}'; ${listen(id, inWorker)}`);
    return page("<script>new Worker('/worker.mjs', {type: 'module'}).onmessage = function (e) { hear(e.data); };</script>");
  },
  'a service worker': (js, _, id) => {
    site.pages.set('/sw.js', `importScripts('${js}');
      self.addEventListener('install', function () { self.skipWaiting(); });
      ${listen(id, 'function (text) { clients.matchAll({includeUncontrolled: true}).then(function (all) { all.forEach(function (c) { c.postMessage(text); }); }); }', { transports: ['websocket'] })}`);
    return page(`<script>
      navigator.serviceWorker.onmessage = function (e) { hear(e.data); };
      navigator.serviceWorker.register('/sw.js');</script>`);
  },
};

test('by every loader, the client registers again when the server is restarted', { timeout: 120_000 }, async () => {
  const context = await browser.newContext();
  const pages = {};
  const errors = [];
  for (const [id, html] of Object.entries(loaders)) {
    const path = `/${encodeURIComponent(id)}.php`;
    site.pages.set(path, html(`${server.url}/socket.io/socket.io.js`, `${server.url}/socket.io/socket.io.esm.min.js`, id));
    pages[id] = await context.newPage();
    pages[id].on('pageerror', (error) => errors.push(`${id}: ${error.message}`));
    await pages[id].goto(site.url + path);
  }
  const heardBy = (id, text) => until(`${id} hears ${text}`, () => pages[id].evaluate((t) => heard.includes(t), text));
  for (const id of Object.keys(pages)) {
    await server.emitUntilOK(id, 'n', '"before"');
    await heardBy(id, 'before');
  }
  await server.kill();
  await server.spawn();
  for (const id of Object.keys(pages)) {
    await server.emitUntilOK(id, 'n', '"after"');
    await heardBy(id, 'after');
  }
  assert.deepEqual(errors, []);
  await context.close();
});

test('what is not served is said, and nothing else is served in its place', async () => {
  for (const name of ['socket.io.msgpack.min.js', 'socket.io.js.map', 'socket.io.min.js.map', 'socket.io.esm.min.js.map', 'x.js']) {
    const response = await fetch(`${server.url}/socket.io/${name}`);
    assert.equal(response.status, 404, name);
    assert.match(await response.text(), /^There (is|are) no .*\.\n$/, name);
  }
});

test('the script remembers what the server took', { timeout: 60_000 }, async () => {
  const payloads = [
    { userid: 'a string' }, { userid: 7 }, { userid: ['in a list', 8] }, { userid: '76561198000000001' },
    { userid: 76561198000000001 }, { userid: [9, 76561198000000001] }, { userid: 1.5 }, { userid: true },
    { userid: '' }, { userid: [] }, { userid: ['good', ''] }, { userid: 'я'.repeat(200) }, { userid: null }, { userid: { a: 1 } },
    { userId: 'another case' }, { USERID: 'upper case' }, { id: 'another name' }, 'no object', 42, ['a list'], null, {},
  ];
  site.pages.set('/memory.php', `<!doctype html><meta charset="utf-8"><script src="${server.url}/socket.io/socket.io.js"></script><script>
    var all = ${JSON.stringify(payloads)}.map(function (payload) {
      var one = {payload: payload, sent: []}, socket = one.socket = io('${server.url}', ${options({ forceNew: true })});
      socket.onAnyOutgoing(function (name, what) { if (name === 'register') one.sent.push(what); });
      socket.emit('register', payload, function (answer) { one.ok = answer.ok; });
      return one;
    });
    var twice = io('${server.url}', ${options({ forceNew: true })});
    twice.sent = [];
    twice.onAnyOutgoing(function (name, what) { twice.sent.push([name, what.userid]); });
    twice.emit('register', {userid: ['stays', 'goes']});
    twice.emit('register', {userid: 'stays'});
    twice.emit('unregister', {userid: 'goes'});
    twice.emit('register', {userid: 'back'});
    twice.emit('unregister', {userid: 'back'});
    twice.emit('register', {userid: 'back'});
    twice.emit('unregister', {userid: ['stays', '']}); // refused: nothing is taken from it
    twice.emit('register', {userid: 'last'}, function () { twice.done = true; });
  </script>`);
  await withPage(browser, server, {}, async (page, seen) => {
    const warnings = [];
    page.on('console', (message) => { if (/^doit-socket/.test(message.text())) warnings.push(message.text()); });
    await page.goto(`${site.url}/memory.php`);
    await until('every register is answered', () => page.evaluate(() => twice.done && all.every((one) => one.ok !== undefined)));
    await until('the refusal without a callback is told', () => warnings.length > 0);
    assert.equal(warnings.length, 1, `warnings: ${warnings}`);
    assert.match(warnings[0], /^doit-socket: unregister was refused: ./);

    await until('every socket is on a websocket', () => page.evaluate(
      () => [twice, ...all.map((one) => one.socket)].every((s) => s.io.engine.transport.name === 'websocket')));
    await server.kill();
    await until('every socket knows', () => page.evaluate(() => !twice.connected && all.every((one) => !one.socket.connected)));
    await page.evaluate(() => {
      twice.sent = [];
      for (const one of all) one.sent = [];
    });
    await server.spawn();
    await until('every socket is back', () => page.evaluate(() => twice.connected && all.every((one) => one.socket.connected)));
    const got = await page.evaluate(() => all.map(({ payload, ok, sent }) => ({ payload, ok, sent })));
    for (const { payload, ok, sent } of got) {
      assert.deepEqual(sent, ok ? [payload] : [], `${JSON.stringify(payload)}, which the server ${ok ? 'took' : 'refused'}`);
    }
    assert.ok(got[0].ok && got[1].ok && got[2].ok && !got[8].ok, 'the server takes ids, and refuses what is none');
    assert.deepEqual(await page.evaluate(() => twice.sent), [['register', 'stays'], ['register', 'back'], ['register', 'last']]);
    assert.deepEqual(seen.errors.filter((e) => !/ERR_CONNECTION_REFUSED|WebSocket connection to/.test(e)), []);
  });
});

test('a page without a callback is registered when the server has time again', { timeout: 60_000 }, async () => {
  const slow = await Embedded.start('--max-new-ids-per-address', '4');
  try {
    site.pages.set('/late.php', `<!doctype html><meta charset="utf-8"><script src="${slow.url}/socket.io/socket.io.js"></script><script>
      function open() { return io('${slow.url}', {forceNew: true}); }
      function ids(name, n) { return Array.from({length: n}, function (_, i) { return name + i; }); }
      var first = open(), second = open(), late = open();
      // 4 new ids a second, of which 40 are saved: 31 are taken, 28 wait for 5 s, 8 more would have to wait longer.
      first.emit('register', {userid: ids('a', 31)}, function () {
        second.emit('register', {userid: ids('b', 28)});
        second.emit('unregister', {userid: 'nobody'}, function () { late.emit('register', {userid: ids('late', 8)}); });
      });
    </script>`);
    await withPage(browser, slow, {}, async (page) => {
      const warnings = [];
      page.on('console', (message) => warnings.push(message.text()));
      await page.goto(`${site.url}/late.php`);
      await until('the refusal is told', () => warnings.some((w) => /register was refused: .*try again in \d+ s/.test(w)));
      assert.equal(await slow.emit('late0', 'n', '{}'), 'ERROR', 'what was refused is not registered');
      await until('it is registered', async () => (await slow.emit('late0', 'n', '{}')) === 'OK', 30);
    });
  } finally {
    await slow.kill();
  }
});
