// The page at /: a visitor tries it, and what it offers to copy works on a PHP site and in real PHP.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Embedded, freePort, launch, Prefix, until, withPage } from './harness.mjs';

const out = fileURLToPath(new URL('out/', import.meta.url));
const languages = {
  ru: {
    locale: 'ru-RU', title: /PHP сообщает о\sсобытии/, on: /^На связи/, heard: 'Что услышала страница', send: 'Отправить', id: 'Кому (userid)',
    event: 'Событие', data: 'Данные (JSON', other: 'English', noScript: /Скрипт клиента не загрузился: http/, noCDN: /cdn\.socket\.io .* make run/,
    reserved: /disconnect занято/, long: /256 байт, а здесь 400/, nobody: /никого нет на связи/, secret: /единственный секрет/,
    clauses: 640, origin: (at) => `Сервер не принимает страницы с ${at}: этого адреса нет в --origins.`, proxy: /отвечает 404/, lost: /^Связь потеряна/,
  },
  en: {
    locale: 'en-GB', title: /PHP raises an event/, on: /^Connected/, heard: 'What this page heard', send: 'Send', id: 'To whom (userid)',
    event: 'Event', data: 'Data (JSON', other: 'Русский', noScript: /The client script did not load: http/, noCDN: /make run/,
    reserved: /reserves the event name disconnect/, long: /256 bytes, and this one has 400/, nobody: /nobody is connected/, secret: /only secret/,
    clauses: 400, origin: (at) => `The server does not accept pages from ${at}: --origins does not list it.`, proxy: /answers 404/, lost: /^Connection lost/,
  },
};

let server, browser;
before(async () => {
  mkdirSync(out, { recursive: true });
  [server, browser] = await Promise.all([Embedded.start(), launch()]);
});
after(async () => {
  await browser?.close();
  await server?.kill();
});

const visible = (page, selector) => page.locator(selector).filter({ visible: true });
const registered = (page) => page.locator('#state[data-state=on]').waitFor();
const says = (page, selector, text) => page.locator(selector).filter({ hasText: text }).waitFor();

for (const [lang, words] of Object.entries(languages)) {
  test(`a visitor sees it work (${lang})`, { timeout: 60_000 }, () => withPage(browser, server, { locale: words.locale }, async (page, seen) => {
    await page.goto(`${server.url}/`);
    await registered(page);
    assert.match(await page.locator('h1').innerText(), words.title);
    assert.match(await page.locator('#state').innerText(), words.on);
    assert.match(await visible(page, '.note').innerText(), words.secret);

    const fill = (label, text) => page.getByLabel(label).fill(text);
    const send = () => page.getByRole('button', { name: words.send }).click();
    const userid = await page.getByLabel(words.id).inputValue();
    assert.match(userid, /^demo-[0-9a-f]{32}$/, 'nobody guesses it');
    const list = page.getByRole('log', { name: words.heard }).getByRole('listitem');
    await fill(words.event, 'новый_заказ 🎉');
    await fill(words.data, '{"текст": "Ёлка 🦊", "n": 1.5}');
    await send();
    const item = list.filter({ hasText: 'новый_заказ 🎉' });
    await item.waitFor();
    assert.equal(await item.locator('code').innerText(), '{"текст":"Ёлка 🦊","n":1.5}');
    await says(page, '#answer b', 'OK');

    await fill(words.event, 'without data');
    await fill(words.data, ' ');
    await send();
    assert.equal(await list.filter({ hasText: 'without data' }).locator('code').innerText(), '{}', 'no data is what PHP gets for no data');
    await page.screenshot({ path: `${out}demo-${lang}.png`, fullPage: true });

    await fill(words.id, 'nobody is here');
    await send();
    await says(page, '#answer b', 'ERROR');
    await says(page, '#answer', words.nobody);
    await fill(words.id, 'я'.repeat(200));
    await send();
    await page.locator('#userid[aria-invalid=true]').waitFor();
    await says(page, '#answer', words.long);
    await fill(words.id, userid);
    await fill(words.event, 'disconnect');
    await send();
    await page.locator('#message[aria-invalid=true]').waitFor();
    await says(page, '#answer', words.reserved);
    await fill(words.event, 'hello');
    await fill(words.data, '{text: 1}');
    await send();
    await page.locator('#data[aria-invalid=true]').waitFor();
    assert.equal(await page.locator('[aria-invalid]').count(), 1, 'only what is wrong now is marked');
    assert.equal(await page.locator('#heard li').count(), 2, 'none of these is heard');

    await page.getByRole('button', { name: words.other }).click();
    const other = languages[lang === 'ru' ? 'en' : 'ru'];
    assert.match(await page.locator('h1').innerText(), other.title);
    await page.reload();
    await registered(page);
    assert.match(await page.locator('h1').innerText(), other.title, 'the choice is remembered');
    assert.match(await page.locator('#state').innerText(), other.on);
    assert.deepEqual(seen.errors, []);
  }));

  test(`without the client script the page says what is missing (${lang})`, { timeout: 60_000 }, async () => {
    await withPage(browser, server, { locale: words.locale }, async (page) => {
      await page.route('**/socket.io/socket.io.js', (route) => route.abort());
      await page.goto(`${server.url}/`);
      await says(page, '#state', words.noScript);
    });
    await withPage(browser, server, { locale: words.locale }, async (page) => {
      await page.route('**/socket.io/socket.io.js', (route) => route.fulfill({ status: 404 }));
      await page.goto(`${server.url}/`);
      await says(page, '#state', words.proxy);
    });
  });

  // Where the script comes from is one attribute, filled in by the server: Go tests hold that, this one what the page makes of it.
  test(`where the script is on the CDN, the page says what that means (${lang})`, { timeout: 60_000 }, () => withPage(browser, server, { locale: words.locale }, async (page) => {
    await page.route(`${server.url}/`, (route) => changed(route, 'data-script="own"', 'data-script="cdn"'));
    await page.goto(`${server.url}/`);
    await registered(page);
    assert.match(await visible(page, '.note.cdn').innerText(), /make run/);
    await page.route('**/socket.io/socket.io.js', (route) => route.abort());
    await page.reload();
    await says(page, '#state', words.noCDN);
  }));

  test(`the page says why it cannot connect (${lang})`, { timeout: 60_000 }, async () => {
    const strict = await Embedded.start('--origins', 'https://shop.example');
    try {
      await withPage(browser, strict, { locale: words.locale }, async (page) => {
        await page.goto(`${strict.url}/`);
        await says(page, '#state', words.origin(strict.url));
      });
    } finally {
      await strict.kill();
    }
    const gone = await Embedded.start();
    try {
      await withPage(browser, gone, { locale: words.locale }, async (page) => {
        await page.route(/\/socket\.io\/\?/, (route) => route.fulfill({ status: 404, body: 'the proxy does not know it' }));
        await page.goto(`${gone.url}/`);
        await says(page, '#state', words.proxy);
        await page.unrouteAll();
        await registered(page);
        await gone.kill();
        await says(page, '#state', words.lost);
        await gone.spawn();
        await registered(page);
      });
    } finally {
      await gone.kill();
    }
  });

  test(`nothing breaks where the page is narrow (${lang})`, { timeout: 60_000 }, async () => {
    await withPage(browser, server, { locale: words.locale }, async (page) => {
      await page.goto(`${server.url}/`);
      await registered(page);
      for (const width of [...Array.from({ length: 21 }, (_, i) => 320 + 16 * i), 400, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        if (width === 400 || width === 1280) await page.screenshot({ path: `${out}page-${lang}-${width}.png`, fullPage: true });
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `the page is ${wider} px wider than ${width}`);
        // The lines of the heading: each has more than one word, as one alone reads like a mistake.
        const lines = await page.evaluate(() => {
          const found = [];
          const walk = document.createTreeWalker(document.querySelector('h1'), NodeFilter.SHOW_TEXT);
          for (let node = walk.nextNode(); node; node = walk.nextNode()) {
            for (const { 0: word, index } of node.data.matchAll(/\S+/g)) {
              const range = document.createRange();
              range.setStart(node, index);
              range.setEnd(node, index + word.length);
              const box = range.getBoundingClientRect();
              if (!box.width) continue; // the other language
              const line = found.find(({ y }) => Math.abs(y - box.y) < box.height / 2);
              if (line) line.words.push(word);
              else found.push({ y: box.y, words: [word] });
            }
          }
          return found.map(({ words }) => words);
        });
        const said = `at ${width} px: ${lines.map((l) => l.join(' ')).join(' / ')}`;
        assert.ok(lines.length > 0 && lines.every((words) => words.filter((w) => /\p{L}/u.test(w)).length > 1), said);
        if (width >= words.clauses) assert.ok(lines.length <= 2 && (lines.length === 1 || /[,—]$/.test(lines[0].at(-1))), `${said}: where there is room, a clause is a line`);
      }
    });
  });
}

/** Answers a request for the page with a change. */
async function changed(route, from, to) {
  const response = await route.fetch();
  const body = await response.text();
  assert.ok(body.includes(from), `the page has ${from}`);
  await route.fulfill({ response, body: body.replace(from, to) });
}

test('what the server says of a refusal is shown', { timeout: 60_000 }, () => withPage(browser, server, { locale: 'en-GB' }, async (page) => {
  await page.route('**/emit', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, status: 403, body: 'ERROR', headers: { ...response.headers(), 'doit-error': 'not for strangers: use --open' } });
  });
  await page.goto(`${server.url}/`);
  await registered(page);
  await page.getByRole('button', { name: 'Send' }).click();
  await says(page, '#answer', 'ERROR not for strangers: use --open');
  await page.unrouteAll();
  await page.route('**/emit', (route) => route.fulfill({ status: 404, body: '<h1>not here</h1>' }));
  await page.getByRole('button', { name: 'Send' }).click();
  await says(page, '#answer', /\/emit answers 404/);
}));

test('below a prefix the page works, and shows addresses below it', { timeout: 60_000 }, async () => {
  const proxy = await Prefix.start(server, '/push');
  try {
    for (const address of [`${proxy.url}/`, proxy.url]) {
      await withPage(browser, server, { locale: 'en-GB' }, async (page, seen) => {
        await page.goto(address);
        await registered(page);
        await says(page, '#state', 'websocket');
        await page.getByRole('button', { name: 'Send' }).click();
        await says(page, '#answer', 'OK');
        await page.locator('#heard code').waitFor();
        const [html, php] = await Promise.all(['#page-code', '#php-code'].map((id) => page.locator(id).innerText()));
        const origin = new URL(proxy.url).origin;
        assert.ok(html.includes(`<script src="${proxy.url}/socket.io/socket.io.js">`), html);
        assert.ok(html.includes(`io('${origin}', {path: '/push/socket.io/'})`), html);
        assert.ok(php.includes(`'${proxy.url}/emit'`), php);
        assert.deepEqual(seen.errors, []);
      });
    }
  } finally {
    proxy.stop();
  }
});

/** Serves a folder by PHP itself. Answers its address, and a function that ends it; nothing where there is no PHP. */
async function php(files) {
  const folder = mkdtempSync(`${tmpdir()}/site-`);
  for (const [name, text] of Object.entries(files)) writeFileSync(`${folder}/${name}`, text);
  const port = await freePort();
  const child = spawn('php', ['-d', `session.save_path=${folder}`, '-S', `127.0.0.1:${port}`, '-t', folder], { stdio: 'ignore' });
  const runs = await new Promise((resolve) => { child.once('spawn', () => resolve(true)).once('error', () => resolve(false)); });
  if (!runs) return null;
  const url = `http://127.0.0.1:${port}`;
  await until('PHP serves', () => fetch(url));
  return {
    url,
    async stop() {
      const gone = once(child, 'exit');
      child.kill();
      await gone;
      rmSync(folder, { recursive: true });
    },
  };
}

test('what the page offers to copy works', { timeout: 60_000 }, (t) => withPage(browser, server, { locale: 'ru-RU' }, async (page) => {
  await page.goto(`${server.url}/`);
  await registered(page);
  const [html, code] = await Promise.all(['#page-code', '#php-code'].map((id) => page.locator(id).innerText()));
  const userid = await page.locator('#userid').inputValue();
  assert.ok(!/[…]/.test(html + code), 'the address is filled in');
  assert.ok(code.includes(`'${userid}'`), 'the event will come here');

  // The code for PHP as it is on the visitor's site: with the id that the page has in its session.
  const mine = code.replace(`'${userid}'`, '$userid');
  const site = await php({ 'page.php': html, 'send.php': `<?php session_start(); $userid = $_SESSION['push'];\n${mine}` });
  if (!site) return t.diagnostic('there is no php here: the code was not run');
  try {
    await withPage(browser, server, {}, async (copy) => {
      const dialogs = [];
      copy.on('dialog', (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
      await copy.goto(`${site.url}/page.php`);
      assert.match(await copy.content(), /userid: '[0-9a-f]{32}'/);
      const other = await copy.context().newPage(); // of the same visitor
      await until('PHP hears OK', async () => (await (await other.goto(`${site.url}/send.php`)).text()) === 'OK');
      await until('the copied page shows an alert', () => dialogs.includes('Привет!'));
    });
    // And as it is: from the command line to the page at /.
    const { stdout } = await promisify(execFile)('php', ['-r', code]);
    assert.equal(stdout, 'OK');
    await page.locator('#heard code').filter({ hasText: '{"text":"Привет!"}' }).first().waitFor();
  } finally {
    await site.stop();
  }
}));

// The mode is one attribute, too.
test('where PHP has another address, the page only explains', { timeout: 60_000 }, () => withPage(browser, server, { locale: 'en-GB' }, async (page, seen) => {
  await page.route(`${server.url}/`, (route) => changed(route, 'data-open="true"', 'data-open="false"'));
  await page.goto(`${server.url}/`);
  assert.equal(await visible(page, 'form, #state, #heard').count(), 0);
  assert.match(await page.locator('#php-code').innerText(), /http:\/\/ADDRESS-FOR-PHP\/emit/);
  assert.match(await page.locator('#php-code').innerText(), /=> \$userid,/);
  assert.match(await page.locator('#page-code').innerText(), new RegExp(`io\\('${server.url}'\\)`));
  assert.match(await visible(page, '.note').innerText(), /only secret/);
  assert.ok(!seen.requests.some((url) => url.includes('/socket.io')), 'it does not connect');
  assert.deepEqual(seen.errors, []);
}));
