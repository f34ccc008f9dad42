// Every client since 1.0 in a real browser, on a page of another site, with the snippet that PHP pages have had since 2014.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Embedded, launch, phpJSON, Site, until, withPage } from './harness.mjs';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const versions = [...JSON.parse(read('package.json')).config.clients.split(' '), read('../../clients/browser/VERSION').trim()];

const event = 'новый_заказ 🎉';
const data = { текст: 'Ёлка, 5 € и 🦊', 'a/b': [1.5, null, true, []], пусто: {} };

let server, site, browser;
before(async () => {
  [server, site, browser] = await Promise.all([Embedded.start(), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

let pages = 0;
/** Puts a page on the site; `code` runs in it. Answers its address. */
function publish(script, code) {
  const path = `/корзина-${++pages}.php`;
  site.pages.set(encodeURI(path), `<!doctype html><meta charset="utf-8"><title>Корзина</title><script src="${script}"></script><script>${code}</script>`);
  return `${site.url}${path}?товар=7`;
}

for (const version of versions) {
  for (const transports of [null, ['polling'], ['websocket']]) {
    test(`client ${version}, ${transports ?? 'default transports'}`, { timeout: 60_000 }, async () => {
      const userid = `Пользователь 🦊 ${version} ${transports}`;
      site.pages.set('/client.js', read(`.clients/${version}.js`));
      const address = publish('/client.js', `
        var heard = [];
        var socket = io(${JSON.stringify(server.url)}${transports ? `, ${JSON.stringify({ transports })}` : ''});
        socket.emit("register", {userid: ${JSON.stringify(userid)}});
        [${JSON.stringify(event)}, "second id", "fence"].forEach(function (name) {
          socket.on(name, function (data) { heard.push({name: name, data: data}); });
        });`);

      await withPage(browser, server, {}, async (page, seen) => {
        const heard = (name) => page.evaluate((n) => heard.filter((e) => e.name === n).map((e) => e.data), name);
        const transport = () => page.evaluate(() => socket.io.engine.transport.name);
        await page.goto(address);

        await server.emitUntilOK(userid, event, phpJSON(data));
        assert.equal(await server.emit(userid, event, JSON.stringify(data)), 'OK', 'an emit with JSON that is not escaped');

        const wanted = transports?.[0] ?? 'websocket';
        await until(`the page is on ${wanted}`, async () => (await transport()) === wanted);
        assert.equal(await server.emit(userid, event, '"после"'), 'OK', 'an emit when the transport is settled');

        const second = `${userid} 2`;
        const ack = await page.evaluate((id) => Promise.race([
          new Promise((resolve) => { socket.emit('register', { userid: id }, resolve); }),
          new Promise((resolve) => { setTimeout(resolve, 10_000, 'no answer in 10 s'); }),
        ]), second);
        assert.deepEqual(ack, { ok: true }, 'the answer to register with a callback');
        assert.equal(await server.emit(second, 'second id', '{}'), 'OK', 'an emit to the second id');

        // What has not come before the fence does not come.
        for (const id of [userid, second]) assert.equal(await server.emit(id, 'fence', '{}'), 'OK');
        await until('both fences are heard', async () => (await heard('fence')).length === 2);
        assert.deepEqual(await heard(event), [data, data, 'после'], 'each OK is heard once, equal and in order');
        assert.deepEqual(await heard('second id'), [{}]);

        assert.equal(await transport(), wanted, 'the transport at the end');
        assert.ok(seen.requests.length < 25, `the page made ${seen.requests.length} requests`);
        assert.deepEqual(seen.errors, []);
      });
    });
  }
}

test('the served script registers again when the server is restarted', { timeout: 60_000 }, async () => {
  const script = await fetch(`${server.url}/socket.io/socket.io.js`, { redirect: 'manual' });
  assert.equal(script.status, 200, `${server.binary} was built without the client: run clients/browser/fetch.sh and build it again`);

  const address = publish(`${server.url}/socket.io/socket.io.js`, `
    var sockets = {}, heard = [], acks = 0;
    function open(name, use) {
      var socket = sockets[name] = io(${JSON.stringify(server.url)}, {forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200});
      socket.connects = 0;
      socket.registers = [];
      socket.on("connect", function () { socket.connects++; });
      socket.onAnyOutgoing(function (name, data) { if (name === "register") socket.registers.push(data && data.userid); });
      socket.onAny(function (name) { heard.push(name); });
      use(socket);
    }
    function register(socket, userid, ack) {
      socket.emit.apply(socket, ["register", {userid: userid}].concat(ack || []));
    }
    open("once", function (s) { register(s, "once", function () { acks++; }); });
    open("in connect", function (s) { s.on("connect", function () { register(s, "in connect"); }); });
    open("throws", function (s) { register(s, "throws"); s.on("connect", function () { if (s.connects > 1) throw "of the page"; }); });
    open("number", function (s) { register(s, 7); s.off(); s.on("connect", function () { s.connects++; }); });
    open("list", function (s) { register(s, ["list 1", "list 2"]); s.emit("unregister", {userid: "list 1"}); });
    open("unregistered", function (s) { register(s, "unregistered"); s.emit("unregister", {userid: "unregistered"}); });
    open("offline", function (s) { register(s, "offline"); });
    open("left", function (s) { register(s, "left"); });
    open("odd", function (s) { s.emit("register"); s.emit("register", null, 0); s.emit("unregister", "x"); });`);
  const stays = ['once', 'in connect', 'throws', '7', 'list 2', 'offline'];
  const goes = ['list 1', 'unregistered', 'left'];

  await withPage(browser, server, {}, async (page, seen) => {
    const connects = (n) => until(`every socket has connected ${n} times`, () => page.evaluate(
      (wanted) => Object.values(sockets).every((s) => s.connected && s.connects === wanted), n), 20);
    await page.goto(address);
    await connects(1);
    for (const id of [...stays, 'left']) await server.emitUntilOK(id, `before ${id}`, '{}');
    await until('the callback is called', () => page.evaluate(() => acks === 1));
    assert.deepEqual(await page.evaluate(() => sockets['in connect'].registers), ['in connect'], 'registers before the restart');

    // A poll that is under way when the server dies is one more thing the browser complains of.
    await until('every socket is on a websocket', () => page.evaluate(
      () => Object.values(sockets).every((s) => s.io.engine.transport.name === 'websocket')));
    await server.kill();
    await until('every socket knows', () => page.evaluate(() => Object.values(sockets).every((s) => !s.connected)));
    await page.evaluate(() => {
      for (const socket of Object.values(sockets)) socket.registers = [];
      register(sockets.offline, 'offline'); // the client buffers it
      sockets.left.disconnect();
      sockets.left.connect();
    });
    await server.spawn();
    await connects(2);

    for (const id of stays) await server.emitUntilOK(id, `after ${id}`, '{}');
    await until('every event is heard', () => page.evaluate(
      (ids) => ids.every((id) => heard.includes(`after ${id}`)), stays.filter((id) => id !== '7')));

    // One more register with an answer: what the sockets sent before it has been done when the answer is there.
    await page.evaluate(() => Promise.all(Object.entries(sockets).map(
      ([name, socket]) => socket.timeout(10_000).emitWithAck('register', { userid: `fence ${name}` }))));
    for (const id of goes) assert.equal(await server.emit(id, 'after', '{}'), 'ERROR', `${id} is not registered again`);
    const again = await page.evaluate(() => Object.fromEntries(Object.entries(sockets).map(
      ([name, s]) => [name, s.registers.filter((id) => !String(id).startsWith('fence'))])));
    for (const name of ['once', 'in connect', 'throws', 'offline']) assert.deepEqual(again[name], [name], `what "${name}" sent after the restart`);
    assert.deepEqual(again.list, [['list 2']]);
    assert.deepEqual(again.left, []);
    assert.equal(await page.evaluate(() => acks), 1, 'the callback of the page is called once');

    const ours = seen.errors.filter((e) => !/of the page|ERR_CONNECTION_REFUSED|WebSocket connection to/.test(e));
    assert.deepEqual(ours, []);
  });
});
