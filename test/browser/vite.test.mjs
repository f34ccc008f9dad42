// The example for pages that are built with Vite hears, and hears again after a restart.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { Embedded, launch, Site, until, withPage } from './harness.mjs';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

let server, site, browser;
before(async () => {
  [server, site, browser] = await Promise.all([Embedded.start(), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

test('a page that Vite has built hears', { timeout: 120_000 }, async () => {
  process.env.VITE_PUSH_URL = server.url; // instead of the example's .env
  await build({ root: path('examples/vite'), configFile: false, logLevel: 'error', build: { outDir: path('out/vite'), emptyOutDir: true } });
  site.pages.set('/', readFileSync(path('out/vite/index.html'), 'utf8').replace('<?= $userid ?>', 'vite'));
  for (const name of readdirSync(path('out/vite/assets'))) site.pages.set(`/assets/${name}`, readFileSync(path(`out/vite/assets/${name}`), 'utf8'));

  await withPage(browser, server, {}, async (page, seen) => {
    await page.goto(`${site.url}/`);
    await server.emitUntilOK('vite', 'hello', '{"text":"Привет"}');
    await until('the page hears', async () => (await page.title()) === 'Привет');
    assert.deepEqual(seen.errors, []);
    await server.kill();
    await server.spawn();
    await server.emitUntilOK('vite', 'hello', '{"text":"снова"}');
    await until('the page hears again', async () => (await page.title()) === 'снова');
  });
});
