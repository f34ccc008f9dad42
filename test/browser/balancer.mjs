// Published clients behind a balancer without stickiness: `make test-cluster` runs it, with the balancer's address in DOIT_URL.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, Site, until, withPage } from './harness.mjs';

const server = { url: process.env.DOIT_URL, log: '' };
const emits = 1000;

let site, browser;
before(async () => {
  [site, browser] = await Promise.all([Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
});

async function emit(id, message, data) {
  const response = await fetch(`${server.url}/emit`, { method: 'POST', body: new URLSearchParams({ id, message, data }) });
  return response.text();
}

for (const version of ['1.3.7', '2.5.0', '4.8.3']) {
  for (const transports of [['polling'], null]) {
    test(`client ${version}, ${transports ?? 'default transports'}: ${emits} messages in order`, { timeout: 120_000 }, async () => {
      const id = `${version}-${transports}`;
      site.pages.set('/client.js', readFileSync(new URL(`.clients/${version}.js`, import.meta.url), 'utf8'));
      site.pages.set('/page.php', `<!doctype html><meta charset="utf-8"><script src="/client.js"></script><script>
        var heard = [], connects = 0;
        var socket = io(${JSON.stringify(server.url)}${transports ? `, ${JSON.stringify({ transports })}` : ''});
        socket.emit("register", {userid: ${JSON.stringify(id)}});
        socket.on("connect", function () { connects++; });
        socket.on("n", function (n) { heard.push(n); });</script>`);
      await withPage(browser, server, {}, async (page, seen) => {
        await page.goto(`${site.url}/page.php`);
        await until(`${id} to be registered`, async () => (await emit(id, 'n', '-1')) === 'OK');
        for (let n = 0; n < emits; n++) assert.equal(await emit(id, 'n', String(n)), 'OK', `emit ${n}`);
        const heard = () => page.evaluate(() => heard.filter((n) => n >= 0));
        await until('all to be heard', async () => (await heard()).length >= emits);
        assert.deepEqual(await heard(), [...Array(emits).keys()]);
        assert.equal(await page.evaluate(() => socket.io.engine.transport.name), transports?.[0] ?? 'websocket');
        assert.equal(await page.evaluate(() => connects), 1, 'it was connected once');
        assert.deepEqual(seen.errors, []);
      });
    });
  }
}
