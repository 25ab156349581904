'use strict';
(function () {
  const form = document.getElementById('filters');
  if (!form) { return; }
  const runs = Array.from(document.querySelectorAll('.run'));
  const days = Array.from(document.querySelectorAll('.day'));
  const lanes = Array.from(document.querySelectorAll('.lane'));
  const marks = Array.from(document.querySelectorAll('.mark'));
  const order = ['failed', 'died', 'refused', 'stopped', 'running', 'good', 'skipped'];

  // dim shows in a mark only the runs that are chosen.
  function dim(mark, chosen) {
    const counts = mark.dataset.n.split(' ').map((n, i) => chosen.has(order[i]) ? Number(n) : 0);
    const sum = counts.reduce((a, b) => a + b, 0);
    mark.hidden = sum === 0;
    if (sum === 0) { return; }
    mark.classList.remove(...order);
    mark.classList.add(order[counts.findIndex(n => n > 0)]);
    const text = mark.querySelector('b');
    if (text) { text.textContent = sum < 2 ? '' : sum < 1000 ? String(sum) : Math.floor(sum / 1000) + 'k'; }
  }

  function filter() {
    const only = Array.from(form.querySelectorAll('input:checked'), box => box.value);
    const chosen = new Set(only.length > 0 ? only : order);
    const dest = form.elements.dest ? form.elements.dest.value : '';
    let shown = 0;
    for (const run of runs) {
      run.hidden = !(chosen.has(run.dataset.result) && (dest === '' || run.dataset.dest === dest));
      shown += run.hidden ? 0 : 1;
    }
    for (const day of days) { day.hidden = !day.querySelector('.run:not([hidden])'); }
    for (const lane of lanes) { lane.hidden = dest !== '' && lane.dataset.dest !== dest; }
    for (const mark of marks) { dim(mark, chosen); }
    document.getElementById('none').hidden = shown > 0;
    document.getElementById('shown').value =
      shown === runs.length ? shown + ' runs' : shown + ' of ' + runs.length + ' runs';
  }

  // show opens the run that the address names. Not every browser does by itself.
  function show() {
    const body = document.getElementById(location.hash.slice(1));
    const run = body && body.closest('.run');
    if (!run) { return; }
    if (run.hidden) {
      form.reset();
      filter();
    }
    run.open = true;
    run.scrollIntoView();
  }

  form.hidden = false;
  form.addEventListener('change', filter);
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(filter));
  addEventListener('hashchange', show);
  filter(); // a browser that goes back remembers what was chosen
  show();
})();
