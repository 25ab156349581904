'use strict';
// Looks at pages in a browser as people do, and prints what there is to be seen,
// as JSON. The test decides what is right.
//
//     playwright look.js REQUEST     REQUEST is JSON: {chromium, plain, many, hostile, picture}, all paths but
//                                    the first of pages; with picture, it writes that and nothing else;
//                                    with rollout, a page of one, it looks at that and at hostile alone
const fs = require('fs');
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const request = JSON.parse(process.argv[2]);

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

// open opens a page in a window of its own. What its console says is kept.
async function open(browser, file, width, scheme, more) {
  const context = await browser.newContext({
    viewport: { width, height: width > 600 ? 900 : 844 }, colorScheme: scheme, ...more,
  });
  const tab = await context.newPage();
  tab.setDefaultTimeout(300000); // a busy machine is no fault of the page
  tab.said = [];
  tab.on('console', message => tab.said.push(message.text()));
  tab.on('pageerror', error => tab.said.push(String(error)));
  tab.on('request', asked => {
    if (!/^(file|data):/.test(asked.url())) { tab.said.push('asks for ' + asked.url()); }
  });
  await tab.goto('file://' + file);
  return tab;
}

// seen are facts of the layout, taken in the page. To look at every element has all
// be laid out.
function seen(every) {
  const box = e => e.getBoundingClientRect();
  const shown = e => box(e).width > 0 && box(e).height > 0;
  const overlaps = all => all.flatMap((a, i) => all.slice(i + 1).filter(b => {
    const x = Math.min(box(a).right, box(b).right) - Math.max(box(a).left, box(b).left);
    const y = Math.min(box(a).bottom, box(b).bottom) - Math.max(box(a).top, box(b).top);
    return x > 0.5 && y > 0.5;
  }).map(b => a.getAttribute('aria-label') + ' and ' + b.getAttribute('aria-label')));
  const all = query => Array.from(document.querySelectorAll(query));
  return {
    wide: document.documentElement.scrollWidth > innerWidth,
    out: all(every ? 'main *' : 'main > *').filter(e => shown(e) && box(e).right > innerWidth + 0.5 && !e.closest('pre')).length,
    headings: all('h2').map(e => e.textContent),
    firstCard: box(document.querySelector('.place')).bottom < innerHeight,
    bad: all('.place .result').map(e => e.textContent.trim()),
    marks: all('.mark').filter(shown).length,
    small: all('.mark').filter(e => shown(e) && (box(e).width < 24 || box(e).height < 24)).length,
    overlaps: overlaps(all('.mark').filter(shown)),
    open: all('.run[open]').length,
    lines: all('.run[open] pre').map(e => e.textContent.split('\n').length),
  };
}

// check asks axe. Two runs of each result are open for it.
async function check(tab) {
  await tab.evaluate(() => {
    const opened = {};
    for (const run of document.querySelectorAll('.run')) {
      opened[run.dataset.result] = (opened[run.dataset.result] || 0) + 1;
      run.open = run.open || opened[run.dataset.result] <= 2;
    }
  });
  await tab.evaluate(axe);
  return tab.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const found = await axe.run(document, { runOnly: tags });
    return {
      checked: found.passes.map(rule => rule.id),
      violations: found.violations.map(v => v.id + ': ' + v.nodes[0].target.join(' ') + ': ' + v.nodes[0].failureSummary),
    };
  });
}

// views are the page in wide and narrow windows, light and dark.
async function views(browser) {
  const all = [];
  for (const width of [1280, 390, 320]) {
    for (const scheme of ['light', 'dark']) {
      const tab = await open(browser, request.plain, width, scheme);
      const view = { width, scheme, ...await tab.evaluate(seen, true), said: tab.said.slice() };
      view.background = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
      if (width !== 320) { view.axe = await check(tab); }
      all.push(view);
      await tab.context().close();
    }
  }
  return all;
}

// filters uses the filters by the keyboard alone.
async function filters(browser) {
  const tab = await open(browser, request.plain, 1280, 'light');
  const state = () => tab.evaluate(() => ({
    results: Array.from(new Set(Array.from(document.querySelectorAll('.run:not([hidden])'), e => e.dataset.result))),
    dests: Array.from(new Set(Array.from(document.querySelectorAll('.run:not([hidden])'), e => e.dataset.dest))),
    runs: document.querySelectorAll('.run:not([hidden])').length,
    told: document.getElementById('shown').value,
    lanes: document.querySelectorAll('.lane:not([hidden])').length,
    marks: Array.from(document.querySelectorAll('.wide .mark:not([hidden])'), e =>
      ['failed', 'died', 'refused', 'stopped', 'running', 'good', 'skipped']
        .find(result => e.classList.contains(result))),
    emptyDays: Array.from(document.querySelectorAll('.day:not([hidden])'))
      .filter(e => !e.querySelector('.run:not([hidden])')).length,
  }));
  const before = await state();
  await tab.focus('input[value=failed]');
  await tab.keyboard.press('Space');
  const failed = await state();
  await tab.focus('select');
  await tab.keyboard.press('ArrowDown');
  const one = await state();
  const hash = await tab.evaluate(() => document.querySelector('.run[data-result=good] .body').id);
  await tab.evaluate(id => { location.hash = id; }, hash);
  await tab.waitForFunction(id => document.getElementById(id).closest('.run').open, hash);
  const shown = await state();
  await tab.focus('summary');
  const was = await tab.evaluate(() => document.activeElement.closest('.run').open);
  await tab.keyboard.press('Enter');
  const toggled = await tab.evaluate(() => document.activeElement.closest('.run').open) !== was;
  const said = tab.said;
  await tab.context().close();
  return { before, failed, one, shown, toggled, said };
}

// many loads a long history and scrolls through it. What the page's thread takes for
// it is told in ms of a processor, those of a frame on the average.
async function many(browser) {
  const tab = await open(browser, request.many, 1280, 'light');
  const cpu = await tab.context().newCDPSession(tab);
  await cpu.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => (await cpu.send('Performance.getMetrics')).metrics
    .find(metric => metric.name === 'TaskDuration').value * 1000;
  await tab.reload();
  const facts = await tab.evaluate(() => ({
    painted: Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0),
    elements: document.querySelectorAll('*').length,
    runs: document.querySelectorAll('.run').length,
  }));
  facts.layout = await tab.evaluate(seen, false);
  facts.load = Math.round(await busy());
  await tab.evaluate(() => new Promise(done => {
    let frames = 60;
    requestAnimationFrame(function frame() {
      scrollBy(0, 300);
      if (--frames > 0) { requestAnimationFrame(frame); } else { done(); }
    });
  }));
  facts.frame = Math.round((await busy() - facts.load) / 60);
  await tab.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await tab.waitForFunction(() => {
    const last = Array.from(document.querySelectorAll('.run')).pop().getBoundingClientRect();
    return last.bottom > 0 && last.bottom <= innerHeight;
  });
  facts.said = tab.said;
  await tab.context().close();
  return facts;
}

// plain is the page without its script: all can be read.
async function plain(browser) {
  const tab = await open(browser, request.plain, 390, 'light', { javaScriptEnabled: false });
  const hidden = await tab.locator('#filters').isVisible();
  const counts = await tab.locator('.counts').isVisible();
  const runs = await tab.locator('.run').count();
  await tab.locator('.run').last().locator('summary').focus();
  await tab.keyboard.press('Enter');
  const opened = await tab.locator('.run').last().locator('dl').isVisible();
  await tab.context().close();
  return { filters: hidden, counts, runs, opened };
}

async function hostile(browser) {
  const tab = await open(browser, request.hostile, 390, 'light');
  await tab.evaluate(() => document.querySelectorAll('.run').forEach(run => { run.open = true; }));
  const facts = await tab.evaluate(seen, true);
  facts.said = tab.said;
  facts.foreign = await tab.evaluate(() => document.querySelectorAll('img, iframe, script:not(:last-of-type)').length);
  await tab.context().close();
  return facts;
}

async function picture(browser) {
  for (const scheme of ['light', 'dark']) {
    const tab = await open(browser, request.plain, 1280, scheme);
    await tab.setViewportSize({ width: 1200, height: 920 });
    await tab.screenshot({ path: request.picture.replace(/\.png$/, scheme === 'dark' ? '-dark.png' : '.png') });
    await tab.context().close();
  }
}

// rollouts looks at pages of rollouts, each in wide and narrow windows, light and dark.
async function rollouts(browser) {
  const all = [];
  for (const file of [request.rollout, request.hostile]) {
    for (const width of [1280, 390]) {
      for (const scheme of ['light', 'dark']) {
        const tab = await open(browser, file, width, scheme, { javaScriptEnabled: true });
        const view = await tab.evaluate(() => {
          const box = e => e.getBoundingClientRect();
          const texts = query => Array.from(document.querySelectorAll(query), e => e.textContent.trim());
          return {
            wide: document.documentElement.scrollWidth > innerWidth,
            out: Array.from(document.querySelectorAll('main *')).filter(e => box(e).width > 0 && box(e).right > innerWidth + 0.5).length,
            headings: texts('h2, h3'), counts: texts('.counts li'), first: texts('.host .result').slice(0, 2),
            zoned: texts('.zone b').length, bar: Math.round(box(document.querySelector('.bar')).width),
            parts: document.querySelectorAll('.bar rect').length,
            foreign: document.querySelectorAll('img, iframe, script').length,
            background: getComputedStyle(document.body).backgroundColor,
          };
        });
        Object.assign(view, { width, scheme, hostile: file === request.hostile, axe: await check(tab), said: tab.said });
        all.push(view);
        await tab.context().close();
      }
    }
  }
  return all;
}

(async () => {
  const browser = await chromium.launch({ executablePath: request.chromium, args: quiet });
  try {
    if (request.rollout) {
      console.log(JSON.stringify(await rollouts(browser)));
      return;
    }
    if (request.picture) {
      await picture(browser);
      return;
    }
    const found = { version: browser.version(), took: {} };
    for (const part of [views, filters, many, plain, hostile]) {
      const began = Date.now();
      found[part.name] = await part(browser);
      found.took[part.name] = Date.now() - began;
    }
    console.log(JSON.stringify(found));
  } finally {
    await browser.close();
  }
})().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
