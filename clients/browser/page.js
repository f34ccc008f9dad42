(function () {
  'use strict';
  var root = document.documentElement;
  var open = root.getAttribute('data-open') === 'true';
  var $ = function (id) { return document.getElementById(id); };
  var each = function (selector, f) { Array.prototype.forEach.call(document.querySelectorAll(selector), f); };

  // What is said later than the page is loaded; kept as a key, so that it follows the language.
  var words = {
    ru: {
      connecting: 'Подключаюсь…', registering: 'Регистрируюсь…', on: 'На связи', lost: 'Связь потеряна, подключаюсь снова…',
      unreachable: 'Сервер не отвечает, пробую снова…',
      origin: 'Сервер не принимает страницы с {origin}: этого адреса нет в --origins. Добавьте его туда и перезапустите сервер.',
      turned: 'Сервер отказал в подключении ({status}): {text}. Пробую снова…',
      proxy: 'Адрес {url} отвечает {status}. Если перед сервером стоит прокси, он должен передавать и этот путь.',
      refused: 'Сервер отказал в регистрации: {text}',
      noScript: 'Скрипт клиента не загрузился: {url} недоступен.',
      noCDN: 'Скрипт клиента не загрузился: сервер собран без него, а cdn.socket.io из этого браузера недоступен. Остановите сервер и запустите его командой make run: она встроит скрипт.',
      OK: 'событие принято', ERROR: 'под этим userid никого нет на связи', said: '{text}',
      reserved: 'Имя события {name} занято самим Socket.IO: выберите другое.',
      longId: 'userid — не длиннее 256 байт, а здесь {n}: русская буква занимает два байта.',
      notJSON: 'Данные — не JSON: строки и имена нужны в двойных кавычках.', unanswered: 'Сервер не ответил.',
      503: 'доставка не подтверждена, попробуйте ещё раз', 413: 'слишком много данных', 429: 'слишком часто, подождите', other: 'ответ сервера: {status}',
      ms: 'мс', copied: 'Скопировано', text: 'Привет!'
    },
    en: {
      connecting: 'Connecting…', registering: 'Registering…', on: 'Connected', lost: 'Connection lost, connecting again…',
      unreachable: 'The server does not answer, trying again…',
      origin: 'The server does not accept pages from {origin}: --origins does not list it. Add it there and restart the server.',
      turned: 'The server refused the connection ({status}): {text}. Trying again…',
      proxy: '{url} answers {status}. If there is a proxy in front of the server, it must pass this path on, too.',
      refused: 'The server refused the registration: {text}',
      noScript: 'The client script did not load: {url} cannot be reached.',
      noCDN: 'The client script did not load: this server was built without it, and this browser cannot reach cdn.socket.io. Stop the server and start it with make run, which builds the script in.',
      OK: 'the event was taken', ERROR: 'nobody is connected under this userid', said: '{text}',
      reserved: 'Socket.IO reserves the event name {name}: choose another.',
      longId: 'A userid has at most 256 bytes, and this one has {n}: letters outside ASCII take two or more.',
      notJSON: 'The data is not JSON: strings and names need double quotes.', unanswered: 'The server did not answer.',
      503: 'delivery not confirmed, try again', 413: 'too much data', 429: 'too often, wait a little', other: 'the server said: {status}',
      ms: 'ms', copied: 'Copied', text: 'Hello!'
    }
  };
  var say = function (key, about) {
    return words[root.lang][key].replace(/\{(\w+)\}/g, function (_, name) { return about[name]; });
  };
  // Where the server is: the page is its root, perhaps below a prefix that a proxy adds, with or without a slash behind it.
  var base = location.pathname.replace(/\/?$/, '/').replace(/'/g, '%27');
  var redraw = [];
  var show = function (draw) { redraw.push(draw); draw(); };

  function setLang(lang) {
    var before = greeting();
    root.lang = lang;
    if (open && $('data').value === before) $('data').value = greeting();
    each('[data-lang]', function (b) { b.setAttribute('aria-pressed', String(b.getAttribute('data-lang') === lang)); });
    redraw.forEach(function (draw) { draw(); });
  }
  function greeting() { return JSON.stringify({text: say('text')}).replace(':', ': '); }

  each('[data-lang]', function (button) {
    button.addEventListener('click', function () {
      setLang(button.getAttribute('data-lang'));
      try { localStorage.setItem('lang', root.lang); } catch (e) { /* remembered until reload only */ }
    });
  });

  var random = new Uint8Array(16);
  crypto.getRandomValues(random);
  var userid = 'demo-' + Array.prototype.map.call(random, function (b) { return (b + 256).toString(16).slice(1); }).join('');
  var home = location.origin + base.slice(0, -1);
  var fillings = {
    origin: location.origin, home: home, path: base === '/' ? '' : ", {path: '" + base + "socket.io/'}",
    emit: open ? home : 'http://ADDRESS-FOR-PHP', id: open ? "'" + userid + "'" : '$userid'
  };
  each('[data-is]', function (u) { u.textContent = fillings[u.getAttribute('data-is')]; });

  each('[data-copy]', function (button) {
    button.addEventListener('click', function () {
      var code = $(button.getAttribute('data-copy'));
      var done = function () {
        var plain = button.innerHTML;
        if (button.disabled) return;
        button.disabled = true;
        button.textContent = say('copied');
        setTimeout(function () { button.innerHTML = plain; button.disabled = false; }, 1500);
      };
      var byHand = function () { // without https there is no clipboard API
        getSelection().selectAllChildren(code);
        if (document.execCommand('copy')) done();
      };
      if (navigator.clipboard) navigator.clipboard.writeText(code.innerText).then(done, byHand);
      else byHand();
    });
  });

  if (open) demo();
  setLang(root.lang);

  function demo() {
    $('userid').value = userid;
    $('data').value = greeting();

    var state = {key: 'connecting'}, transport = '', sentAt = 0;
    show(function () {
      var on = state.key === 'on';
      $('state').setAttribute('data-state', on ? 'on' : /ing$/.test(state.key) ? 'wait' : 'off');
      $('state-text').textContent = say(state.key, state) + (on && transport ? ' · ' + transport : '');
    });
    function set(next) { state = next; redraw.forEach(function (draw) { draw(); }); }

    var answer = {};
    show(function () {
      var out = $('answer'), bold = document.createElement('b'), text = document.createElement(answer.status ? 'span' : 'i');
      out.className = answer.body === 'OK' ? '' : 'wrong';
      out.textContent = '';
      if (!answer.key) return;
      bold.textContent = answer.body ? answer.body + ' ' : '';
      text.textContent = say(answer.key, answer);
      out.append(bold, text);
    });
    function setAnswer(next) {
      answer = next;
      ['userid', 'message', 'data'].forEach(function (id) {
        if (id === next.field) $(id).setAttribute('aria-invalid', 'true');
        else $(id).removeAttribute('aria-invalid');
      });
      if (next.field) $(next.field).focus();
      redraw.forEach(function (draw) { draw(); });
    }

    function heard(args) {
      var item = document.createElement('li'), name = document.createElement('b');
      var when = document.createElement('small'), data = document.createElement('code');
      var took = sentAt && performance.now() - sentAt;
      sentAt = 0;
      name.textContent = args[0];
      data.textContent = args.slice(1).map(function (a) { return JSON.stringify(a); }).join(', ');
      when.textContent = new Date().toLocaleTimeString(root.lang) + (took ? ' · ' + Math.max(1, Math.round(took)) + ' ' + say('ms') : '');
      item.append(name, when, data);
      each('#heard .none', function (none) { none.remove(); });
      $('heard').prepend(item);
      while ($('heard').children.length > 8) $('heard').lastChild.remove();
    }

    // Why there is no connection, by the answer to the client's request. A refusal has the server's own JSON.
    function fault(error) {
      var status = error.description, about = {status: status, url: home + '/socket.io/', origin: location.origin}, body = null;
      try { body = JSON.parse(error.context.responseText); } catch (e) { /* no answer, or another's */ }
      if (typeof status !== 'number' || !status) about.key = 'unreachable';
      else if (!body || !body.message) about.key = 'proxy';
      else about.key = status === 403 && body.code === 4 ? 'origin' : 'turned';
      about.text = body && body.message;
      return about;
    }

    function connect() {
      if (typeof io !== 'function') return missing();
      var socket = io({path: base + 'socket.io/'}), named = function () {
        transport = socket.io.engine && socket.io.engine.transport ? socket.io.engine.transport.name : '';
        set(state);
      };
      socket.on('connect', function () {
        set({key: 'registering'});
        socket.io.engine.on('upgrade', named);
        socket.emit('register', {userid: userid}, function (answer) {
          state = answer && answer.ok ? {key: 'on'} : {key: 'refused', text: answer && answer.error};
          named();
        });
      });
      socket.on('disconnect', function () { // also after an attempt that failed: then connect_error has said why
        if (state.key === 'on' || state.key === 'registering' || state.key === 'refused') set({key: 'lost'});
      });
      socket.on('connect_error', function (error) {
        var why = fault(error);
        set(state.key === 'lost' && why.key === 'unreachable' ? state : why);
      });
      socket.onAny(function () { heard(Array.prototype.slice.call(arguments)); });
    }

    var reserved = ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'];
    $('form').addEventListener('submit', function (event) {
      event.preventDefault();
      var id = $('userid').value, name = $('message').value, data = $('data').value, body = new URLSearchParams({id: id, message: name});
      var length = new TextEncoder().encode(id).length;
      if (length > 256) return setAnswer({key: 'longId', field: 'userid', n: length});
      if (reserved.indexOf(name) >= 0) return setAnswer({key: 'reserved', field: 'message', name: name});
      if (data.trim()) {
        try { JSON.parse(data); } catch (e) { return setAnswer({key: 'notJSON', field: 'data'}); }
        body.append('data', data);
      }
      sentAt = id === userid ? performance.now() : 0;
      var url = home + '/emit';
      fetch(url, {method: 'POST', body: body}).then(function (response) {
        return response.text().then(function (body) {
          var status = response.status, known = body === 'OK' || body === 'ERROR', why = response.headers.get('Doit-Error');
          var key = body === 'OK' ? 'OK' : why ? 'said' : status === 200 && known ? 'ERROR' : words.en[status] ? status : known ? 'other' : 'proxy';
          setAnswer({status: status, body: known ? body : '', key: key, text: why, url: url});
        });
      }).catch(function () { setAnswer({key: 'unanswered'}); });
    });

    var script = document.createElement('script');
    script.src = home + '/socket.io/socket.io.js';
    script.onload = connect;
    script.onerror = missing;
    document.head.append(script);
    function missing() {
      if (root.getAttribute('data-script') === 'cdn') return set({key: 'noCDN'});
      var about = {key: 'noScript', url: script.src};
      fetch(script.src).then(function (response) {
        set(response.ok ? about : {key: 'proxy', url: script.src, status: response.status});
      }, function () { set(about); });
    }
  }
})();
