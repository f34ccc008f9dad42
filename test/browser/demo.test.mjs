// The page at /: a visitor tries it, and what it offers to copy works on another site and in real PHP.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Embedded, launch, Site, until, withPage } from './harness.mjs';

const out = fileURLToPath(new URL('out/', import.meta.url));
const languages = {
  ru: { locale: 'ru-RU', title: /PHP сообщает о событии/, on: /^На связи/, heard: 'Что услышала страница', send: 'Отправить', id: 'Кому (userid)', event: 'Событие', data: 'Данные (JSON)', other: 'English', noScript: /Скрипт клиента не загрузился/ },
  en: { locale: 'en-GB', title: /PHP raises an event/, on: /^Connected/, heard: 'What this page heard', send: 'Send', id: 'To whom (userid)', event: 'Event', data: 'Data (JSON)', other: 'Русский', noScript: /The client script did not load/ },
};

let server, site, browser;
before(async () => {
  mkdirSync(out, { recursive: true });
  [server, site, browser] = await Promise.all([Embedded.start(), Site.start(), launch()]);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.kill();
});

const visible = (page, selector) => page.locator(selector).filter({ visible: true });
const registered = (page) => page.locator('#state[data-state=on]').waitFor();

for (const [lang, words] of Object.entries(languages)) {
  test(`a visitor sees it work (${lang})`, { timeout: 60_000 }, () => withPage(browser, server, { locale: words.locale }, async (page, seen) => {
    await page.goto(`${server.url}/`);
    await registered(page);
    assert.match(await page.locator('h1').innerText(), words.title);
    assert.match(await page.locator('#state').innerText(), words.on);

    const userid = await page.getByLabel(words.id).inputValue();
    await page.getByLabel(words.event).fill('новый_заказ 🎉');
    await page.getByLabel(words.data).fill('{"текст": "Ёлка 🦊", "n": 1.5}');
    await page.getByRole('button', { name: words.send }).click();
    const item = page.getByRole('log', { name: words.heard }).getByRole('listitem').filter({ hasText: 'новый_заказ 🎉' });
    await item.waitFor();
    assert.equal(await item.locator('code').innerText(), '{"текст":"Ёлка 🦊","n":1.5}');
    await page.locator('#answer b').filter({ hasText: 'OK' }).waitFor();
    await page.screenshot({ path: `${out}demo-${lang}.png`, fullPage: true });

    await page.getByLabel(words.id).fill('nobody is here');
    await page.getByRole('button', { name: words.send }).click();
    await page.locator('#answer b').filter({ hasText: 'ERROR' }).waitFor();

    await page.getByLabel(words.id).fill(userid);
    await page.getByLabel(words.data).fill('{text: 1}');
    await page.getByRole('button', { name: words.send }).click();
    await page.locator('#data[aria-invalid=true]').waitFor();
    assert.equal(await page.locator('#heard li').count(), 1, 'neither of the two is heard');

    await page.getByRole('button', { name: words.other }).click();
    const other = languages[lang === 'ru' ? 'en' : 'ru'];
    assert.match(await page.locator('h1').innerText(), other.title);
    await page.reload();
    await registered(page);
    assert.match(await page.locator('h1').innerText(), other.title, 'the choice is remembered');
    assert.match(await page.locator('#state').innerText(), other.on);
    assert.deepEqual(seen.errors, []);
  }));

  test(`without the client script the page says what to do (${lang})`, { timeout: 60_000 }, () => withPage(browser, server, { locale: words.locale }, async (page) => {
    await page.route('**/socket.io/socket.io.js', (route) => route.abort());
    await page.goto(`${server.url}/`);
    await page.locator('#state').filter({ hasText: words.noScript }).waitFor();
  }));
}

test('what the page offers to copy works', { timeout: 60_000 }, (t) => withPage(browser, server, { locale: 'ru-RU' }, async (page) => {
  await page.goto(`${server.url}/`);
  await registered(page);
  const [html, php] = await Promise.all(['#page-code', '#php-code'].map((id) => page.locator(id).innerText()));
  const userid = await page.locator('#userid').inputValue();
  assert.ok(!/[…]/.test(html + php), 'the address is filled in');

  site.pages.set('/copied.php', `<!doctype html><meta charset="utf-8">${html}`);
  await withPage(browser, server, {}, async (copy) => {
    const dialogs = [];
    copy.on('dialog', (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
    await copy.goto(`${site.url}/copied.php`);
    // Two of them: this page and the one at /.
    await until('the copied page shows an alert', async () => {
      await server.emit(userid, 'hello', '{"text":"Из теста"}');
      return dialogs.includes('Из теста');
    });
  });

  try {
    const { stdout } = await promisify(execFile)('php', ['-r', php]);
    assert.equal(stdout, 'OK');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return t.diagnostic('there is no php here: the PHP was not run');
  }
  return page.locator('#heard code').filter({ hasText: '{"text":"Привет!"}' }).first().waitFor();
}));

// The mode is one attribute, filled in by the server: Go tests hold that, this one what the page makes of it.
test('where PHP has another address, the page only explains', { timeout: 60_000 }, () => withPage(browser, server, { locale: 'en-GB' }, async (page, seen) => {
  await page.route(`${server.url}/`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace('data-open="true"', 'data-open="false"') });
  });
  await page.goto(`${server.url}/`);
  assert.equal(await visible(page, 'form, #state, #heard').count(), 0);
  assert.match(await page.locator('#php-code').innerText(), /http:\/\/ADDRESS-FOR-PHP\/emit/);
  assert.match(await page.locator('#page-code').innerText(), new RegExp(`io\\('${server.url}'\\)`));
  assert.ok(!seen.requests.some((url) => url.includes('/socket.io')), 'it does not connect');
  assert.deepEqual(seen.errors, []);
}));
