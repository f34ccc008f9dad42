// What pages do besides: options of the client, texts, ids and events of every kind, mistakes. In a real browser, on a page of another site.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Embedded, launch, Site, until, withPage } from './harness.mjs';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const newest = read('../../clients/browser/VERSION').trim();

let server, site, browser;
before(async () => {
  [server, site, browser] = await Promise.all([Embedded.start(), Site.start(), launch()]);
  for (const version of [newest, '2.5.0']) site.pages.set(`/${version}.js`, read(`.clients/${version}.js`));
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

/** Runs `use` with a page that has connected, with the options. */
async function connected(version, options, use) {
  site.pages.set('/held.php', `<!doctype html><meta charset="utf-8"><script src="/${version}.js"></script><script>
    var heard = [];
    var socket = io(${JSON.stringify(server.url)}, ${JSON.stringify(options)});
    function ask(name, data) {
      return new Promise(function (resolve) { socket.emit(name, data, resolve); setTimeout(resolve, 10000, 'no answer in 10 s'); });
    }
    function hear(name) { socket.on(name, function (data) { heard.push([name, data]); }); }
  </script>`);
  await withPage(browser, server, {}, async (page, seen) => {
    await page.goto(`${site.url}/held.php`);
    await until('the page is connected', () => page.evaluate(() => socket.connected));
    await use(page, seen);
  });
}

const ask = (page, name, data) => page.evaluate(([n, d]) => ask(n, d), [name, data]);

for (const [what, options, wanted] of [
  ['no slash behind the path', { addTrailingSlash: false }, 'websocket'],
  ['webtransport among the transports', { transports: ['polling', 'websocket', 'webtransport'] }, 'websocket'],
  ['subprotocols', { transports: ['websocket'], protocols: ['chat', 'superchat'] }, 'websocket'],
  ['headers of its own, on polling', { transports: ['polling'], extraHeaders: { baggage: 'a=b', 'sentry-trace': '1-2' } }, 'polling'],
  ['headers of its own, with an upgrade', { extraHeaders: { 'X-Shop': '7' } }, 'websocket'],
  ['credentials', { withCredentials: true }, 'websocket'],
  ['retries', { retries: 2, ackTimeout: 5000 }, 'websocket'],
]) {
  test(`client ${newest} with ${what}`, { timeout: 60_000 }, () => connected(newest, options, async (page) => {
    await until(`the page is on ${wanted}`, () => page.evaluate((name) => socket.io.engine.transport.name === name, wanted));
    if (options.protocols) assert.equal(await page.evaluate(() => socket.io.engine.transport.ws.protocol), 'chat');
    await page.evaluate(() => { socket.emit('chat', 'with retries the client waits for an answer before it sends the next event'); hear('alert'); });
    // With retries the answer follows an error, which is null here.
    const answer = await page.evaluate(() => new Promise((resolve) => {
      socket.emit('register', { userid: 'held' }, function () { resolve(arguments[arguments.length - 1]); });
    }));
    assert.deepEqual(answer, { ok: true });
    assert.equal(await server.emit('held', 'alert', '1'), 'OK');
    await until('the event is heard', () => page.evaluate(() => heard.length === 1));
  }));
}

for (const version of [newest, '2.5.0']) {
  test(`client ${version}: texts, ids, events, binary data and mistakes`, { timeout: 60_000 }, () => connected(version, {}, async (page, seen) => {
    for (const id of ['__proto__', 'constructor', 'x'.repeat(256), 'я'.repeat(128), 'line\u2028end', 'nul\0', '👩‍👩‍👧']) {
      assert.deepEqual(await ask(page, 'register', { userid: id }), { ok: true }, id);
      assert.equal(await server.emit(id, 'nobody listens', '{}'), 'OK', id);
    }
    assert.deepEqual(await ask(page, 'register', { userid: '__proto__' }), { ok: true }, 'the same id again');

    for (const event of ['error', 'ping', 'пинг']) await page.evaluate((name) => hear(name), event);
    const data = { text: 'a\u2028b\u2029c\0d 👩‍👩‍👧 </script>', __proto: 1 };
    for (const event of ['error', 'ping', 'пинг']) assert.equal(await server.emit('__proto__', event, JSON.stringify(data)), 'OK', event);
    await until('all are heard', () => page.evaluate(() => heard.length === 3));
    assert.deepEqual(await page.evaluate(() => heard), [['error', data], ['ping', data], ['пинг', data]]);

    const binary = await page.evaluate(() => ask('register', { userid: 'binary', photo: new Uint8Array([1, 2, 3]).buffer }));
    assert.deepEqual(binary, { ok: true });
    assert.equal(await server.emit('binary', 'nobody listens', '{}'), 'OK');

    for (const [name, argument, says] of [
      ['register', '42', /no object/], ['register', { userId: '42' }, /"userid"/], ['register', { userid: null }, /no id/], ['register', null, /no object/],
      ['register', { userid: 76561198000000001 }, /as a string/], ['register', { userid: ['a', 2 ** 53] }, /as a string/], ['regster', { userid: 'x' }, /"register"/],
      ...(version === newest ? [['ping', 1, /"register"/]] : []), // 2.x keeps that name for itself
    ]) {
      const answer = await ask(page, name, argument);
      assert.equal(answer.ok, false, `${name} ${JSON.stringify(argument)}`);
      assert.match(answer.error, says);
    }
    assert.match((await page.evaluate(() => ask('register', { userid: new Uint8Array([1]).buffer }))).error, /as a string/);
    for (const id of ['42', 'a', 'x']) assert.equal(await server.emit(id, 'nobody', '{}'), 'ERROR', id);
    assert.equal(await page.evaluate(() => socket.connected), true);
    assert.deepEqual(seen.errors, []);
  }));
}
