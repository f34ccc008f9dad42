import { listen } from './push.js';

listen(document.body.dataset.userid, {
  hello: (data) => { document.title = data.text; },
});
