// Pages that are put aside, and pages that are shut in: each hears, and hears again, without a line of its own for that.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Embedded, launch, Site, until, withPage } from './harness.mjs';

let server, site, browser;
before(async () => {
  [server, site, browser] = await Promise.all([Embedded.start('--ping-interval', '1s', '--ping-timeout', '1s'), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

/** A page that registers once. What it heard, and how it was shown, is in `heard` and `shown`. */
const html = (id, { url = server.url, attributes = '' } = {}) => `<!doctype html><meta charset="utf-8"><title>${id}</title>
  <script ${attributes} src="${url}/socket.io/socket.io.js"></script>
  <script ${attributes}>
    var heard = [], shown = [], state = '';
    addEventListener('pageshow', function (e) { shown.push(e.persisted); });
    var socket = io('${url}', {reconnectionDelay: 100, reconnectionDelayMax: 200});
    socket.emit('register', {userid: '${id}'});
    socket.on('n', function (n) { heard.push(n); });
    socket.on('connect_error', function (e) { state = e.message; });
  </script>`;

/** Emits until the page hears it. */
async function hears(page, id, text) {
  await server.emitUntilOK(id, 'n', JSON.stringify(text));
  await until(`${id} hears ${text}`, () => page.evaluate((t) => heard.includes(t), text));
}
const isGone = (id) => until(`${id} is gone`, async () => (await server.emit(id, 'gone?', '{}')) === 'ERROR', 15);
const onWebsocket = (page) => until('it is on a websocket', () => page.evaluate(() => socket.io.engine.transport.name === 'websocket'));

test('a page that comes back by the back button hears again', { timeout: 60_000 }, async () => {
  site.pages.set('/back.php', html('back'));
  site.pages.set('/elsewhere.php', '<!doctype html><title>elsewhere</title>');
  await withPage(browser, server, {}, async (page) => {
    await page.goto(`${site.url}/back.php`);
    await hears(page, 'back', 'before');
    await onWebsocket(page);
    await page.goto(`${site.url}/elsewhere.php`);
    await isGone('back');
    await page.evaluate(() => history.back()); // Playwright's goBack waits for a load, and there is none
    await hears(page, 'back', 'after');
    const [shown, heard] = await page.evaluate(() => [shown, heard]);
    assert.deepEqual({ shown, heard }, { shown: [false, true], heard: ['before', 'after'] }, 'it was in the back-forward cache');
  });
});

// Chromium freezes hidden tabs only, and Playwright keeps its pages visible: so this tab is not Playwright's. It is seen by
// its title.
test('a frozen page is closed by the server, and hears again when it goes on', { timeout: 60_000 }, async () => {
  site.pages.set('/frozen.php', `${html('frozen')}<script>
    document.addEventListener('freeze', function () { document.title += ' freeze'; });
    socket.on('n', function (n) { document.title += ' ' + n; });
  </script>`);
  const cdp = await browser.newBrowserCDPSession();
  const { targetId } = await cdp.send('Target.createTarget', { url: `${site.url}/frozen.php`, newWindow: true });
  const shows = (title) => until(`the title is ${title}`, async () => {
    const { targetInfos } = await cdp.send('Target.getTargets');
    return targetInfos.find((target) => target.targetId === targetId)?.title === title;
  });
  await server.emitUntilOK('frozen', 'n', '"before"');
  await shows('frozen before');
  const { targetId: front } = await cdp.send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await cdp.send('Target.attachToTarget', { targetId, flatten: false });
  const become = (state) => cdp.send('Target.sendMessageToTarget', {
    sessionId, message: JSON.stringify({ id: 1, method: 'Page.setWebLifecycleState', params: { state } }),
  });
  await become('frozen');
  await shows('frozen before freeze');
  await isGone('frozen');
  await become('active');
  await server.emitUntilOK('frozen', 'n', '"after"');
  await shows('frozen before freeze after');
  for (const id of [targetId, front]) await cdp.send('Target.closeTarget', { targetId: id });
  await cdp.detach();
});

test('a page whose process stood still hears again, as after a sleep', { timeout: 60_000 }, async () => {
  site.pages.set('/stopped.php', html('stopped'));
  const own = await launch('--site-per-process');
  try {
    await withPage(own, server, {}, async (page) => {
      await page.goto(`${site.url}/stopped.php`);
      await hears(page, 'stopped', 'before');
      await onWebsocket(page);
      const { processInfo } = await (await own.newBrowserCDPSession()).send('SystemInfo.getProcessInfo');
      const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
      assert.ok(renderers.length > 0, 'Chromium names the processes of its pages');
      const tell = (signal) => { for (const id of renderers) process.kill(id, signal); };
      tell('SIGSTOP');
      try {
        await isGone('stopped');
      } finally {
        tell('SIGCONT');
      }
      await hears(page, 'stopped', 'after');
    });
  } finally {
    await own.close();
  }
});

test('a page that was offline hears again', { timeout: 60_000 }, async () => {
  site.pages.set('/offline.php', html('offline'));
  await withPage(browser, server, {}, async (page) => {
    await page.goto(`${site.url}/offline.php`);
    await hears(page, 'offline', 'before');
    await onWebsocket(page);
    await page.context().setOffline(true);
    await isGone('offline');
    await page.context().setOffline(false);
    await hears(page, 'offline', 'after');
  });
});

test('pages that are shut in hear', { timeout: 60_000 }, async () => {
  const at = new URL(server.url).host;
  const kinds = {
    'a sandboxed frame': { // its origin is null
      body: `<!doctype html><iframe sandbox="allow-scripts" srcdoc="${html('a sandboxed frame').replaceAll('"', '&quot;')}"></iframe>`,
    },
    'a page with a policy': {
      body: html('a page with a policy', { attributes: 'nonce="once"' }),
      headers: { 'Content-Security-Policy': `default-src 'none'; script-src 'nonce-once'; img-src 'self'; connect-src http://${at} ws://${at}` },
    },
    'an isolated page': {
      body: html('an isolated page'),
      headers: { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin' },
    },
  };
  for (const [id, content] of Object.entries(kinds)) {
    const path = `/${encodeURIComponent(id)}.php`;
    site.pages.set(path, content);
    await withPage(browser, server, {}, async (page, seen) => {
      await page.goto(site.url + path);
      const frame = page.frames().at(-1);
      await hears(frame, id, 'hello');
      if (id === 'an isolated page') assert.equal(await page.evaluate(() => crossOriginIsolated), true);
      if (id === 'a sandboxed frame') assert.equal(await frame.evaluate(() => self.origin), 'null');
      assert.deepEqual(seen.errors, [], id);
    });
  }
});

test('the origin null is allowed by its name, and refused where others are listed', { timeout: 60_000 }, async () => {
  for (const [origins, allowed] of [['null', true], ['https://shop.example,null', true], ['https://shop.example', false]]) {
    const strict = await Embedded.start('--origins', origins);
    try {
      site.pages.set('/null.php', `<!doctype html><iframe sandbox="allow-scripts" srcdoc="${html('null', { url: strict.url }).replaceAll('"', '&quot;')}"></iframe>`);
      await withPage(browser, strict, {}, async (page) => {
        await page.goto(`${site.url}/null.php`);
        const frame = page.frames().at(-1);
        await until(`--origins ${origins} is felt`, () => frame.evaluate(() => socket.connected || state !== ''));
        assert.equal(await frame.evaluate(() => socket.connected), allowed, `--origins ${origins}`);
      });
    } finally {
      await strict.kill();
    }
  }
});
