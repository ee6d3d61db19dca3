// Pages work without this; it makes them nicer.
'use strict';

// <button data-copy="ID" hidden>Copy</button> copies the value or text of the element with that id; without an id, that of the
// block it stands in.
const source = (button) => document.getElementById(button.dataset.copy) ?? button.closest('.code')?.querySelector('pre');
document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  const from = button && source(button);
  if (!from) return;
  // The first words change alone: what screen readers hear besides stays.
  const words = button.firstChild;
  const before = button.dataset.words ??= words.textContent;
  try {
    await navigator.clipboard.writeText('value' in from ? from.value : from.textContent);
    words.textContent = 'Copied ✓';
  } catch {
    if ('select' in from) from.select();
    else getSelection().selectAllChildren(from);
    words.textContent = 'Press Ctrl+C';
  }
  setTimeout(() => { words.textContent = before; }, 2000);
});

// <select data-where> with the field “Namespaces” beside it: whoever types namespaces means them, not the whole cluster.
document.addEventListener('input', (event) => {
  const where = event.target.id === 'namespaces' && event.target.form?.querySelector('select[data-where]');
  if (where && event.target.value.trim()) where.value = 'namespaces';
});

// <form data-choose="ID">: what is chosen is shown at once, in the element of that id; without this, its button does that.
document.addEventListener('change', async (event) => {
  const form = event.target.closest('form[data-choose]');
  if (!form) return;
  const { name, value } = event.target;
  const there = `${form.action}?${new URLSearchParams(new FormData(form))}`;
  try {
    const answer = await fetch(there, { redirect: 'error' });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const [old, fresh] = [document, page].map((where) => where.getElementById(form.dataset.choose));
    old.replaceWith(fresh);
    ready(fresh);
    fresh.querySelector(`input[name="${name}"][value="${value}"]`)?.focus();
    history.replaceState(null, '', there);
  } catch {
    form.requestSubmit();
  }
});

// <section id="x" data-live>: asks for the page again every 1.5 seconds (or data-live="MILLISECONDS") and takes over the
// element of the same id, until it comes back without data-live. Elements with data-along and an id come with it.
const refresh = (id, pause, misses) => setTimeout(async () => {
  const live = document.getElementById(id);
  try {
    const answer = await fetch(location.href, { redirect: 'error' });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = page.getElementById(id);
    if (!fresh) return location.reload();
    const open = [...live.querySelectorAll('details')].map((details) => details.open);
    fresh.querySelectorAll('details').forEach((details, i) => { details.open ||= open[i] ?? false; });
    if (fresh.innerHTML !== live.innerHTML) live.replaceChildren(...fresh.childNodes);
    ready(live);
    for (const old of document.querySelectorAll('[data-along][id]')) {
      const now = page.getElementById(old.id);
      if (now && now.outerHTML !== old.outerHTML) old.replaceWith(now);
    }
    if (!('live' in fresh.dataset)) return live.removeAttribute('data-live');
    refresh(id, Number(live.dataset.live) || 1500, 0);
  } catch {
    if (misses < 20) refresh(id, Math.min(pause * 2, 15000), misses + 1);
  }
}, pause);

const ready = (root) => {
  for (const button of root.querySelectorAll('[data-copy][hidden]')) button.hidden = false;
  for (const button of root.querySelectorAll('form[data-choose] button')) button.hidden = true;
};
ready(document);
for (const live of document.querySelectorAll('[data-live][id]')) refresh(live.id, Number(live.dataset.live) || 1500, 0);
