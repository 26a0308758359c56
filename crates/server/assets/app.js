// Everything here only adds to pages that work without it.
"use strict";
(() => {
  const $ = (s, root = document) => root.querySelector(s);

  // Times in the reader's own zone, and how long ago.
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
  const ago = (date) => {
    const s = (date - Date.now()) / 1000, a = Math.abs(s);
    if (a < 60) return relative.format(Math.round(s), "second");
    if (a < 3600) return relative.format(Math.round(s / 60), "minute");
    if (a < 86400) return relative.format(Math.round(s / 3600), "hour");
    return relative.format(Math.round(s / 86400), "day");
  };
  const took = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return `${s} s`;
    const m = Math.floor(s / 60);
    return m < 60 ? `${m} min ${s % 60} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
  };
  const times = (root = document) => {
    for (const t of root.querySelectorAll("time[data-ago]")) {
      const date = new Date(t.dateTime);
      t.textContent = ago(date);
      t.title = date.toLocaleString();
    }
    for (const t of root.querySelectorAll("time[data-since]")) t.textContent = took(Date.now() - new Date(t.dateTime));
  };
  times();
  setInterval(times, 1000);

  // Parts marked data-live are fetched again when the server says that something changed.
  let due = 0, busy = false;
  const refresh = async () => {
    if (busy) { due = 1; return; }
    busy = true; due = 0;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const old of document.querySelectorAll("[data-live]")) {
          const fresh = page.getElementById(old.id);
          if (!fresh || old.innerHTML === fresh.innerHTML) continue;
          const focused = document.activeElement && old.contains(document.activeElement) && document.activeElement.getAttribute("href");
          old.replaceChildren(...fresh.childNodes);
          if (focused) $(`[href="${CSS.escape(focused)}"]`, old)?.focus();
          times(old);
        }
        document.title = page.title;
      }
    } catch { /* The next event, or the next load, shows it. */ }
    setTimeout(() => { busy = false; if (due) refresh(); }, 250);
  };
  const stream = document.body.dataset.events;
  if (stream) {
    const source = new EventSource(stream);
    let first = true;
    source.onopen = () => { if (!first) refresh(); first = false; };
    source.addEventListener("change", refresh);
  }

  // The live log: pieces that the server rendered, in order.
  const log = $("#log");
  if (!log) return;
  const times_box = $("#times"), follow_box = $("#follow");
  const keep = (box, key, apply) => {
    if (!box) return;
    try { box.checked = localStorage.getItem(key) === "1"; } catch { /* private mode */ }
    apply(box.checked);
    box.addEventListener("change", () => { try { localStorage.setItem(key, box.checked ? "1" : "0"); } catch { /* same */ } apply(box.checked); });
  };
  keep(times_box, "tasuki.times", (on) => log.classList.toggle("times", on));
  for (const control of document.querySelectorAll(".logbar [hidden]")) control.hidden = false;

  const mark = () => {
    const line = location.hash.match(/^#L(\d+)$/) && document.getElementById(location.hash.slice(1));
    if (!line) return;
    for (let d = line.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    line.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", mark);
  mark();
  // A click on a section's line number makes a link to it, it does not fold.
  log.addEventListener("click", (e) => { if (e.target.matches("summary > a")) { e.preventDefault(); location.hash = e.target.getAttribute("href"); } });
  $("#fold")?.addEventListener("click", () => {
    const all = [...log.querySelectorAll("details")], open = all.some((d) => d.open);
    for (const d of all) d.open = !open;
  });

  if (!log.dataset.stream) return;
  const stack = [log];
  for (let n = Number(log.dataset.depth || 0); n > 0; n--) {
    const open = [...stack[stack.length - 1].children].findLast((el) => el.matches("details.sec"));
    if (!open) break;
    stack.push(open);
  }
  const row = (tag, n, html) => {
    const el = document.createElement(tag), a = document.createElement("a"), span = document.createElement("span");
    el.className = "l"; el.id = "L" + n; a.href = "#L" + n; a.textContent = n;
    span.innerHTML = html; // Escaped by the server, see ui::log.
    el.append(a, span);
    return el;
  };
  const apply = (p) => {
    const at = stack[stack.length - 1];
    if (p.op === "line") at.append(row("div", p.n, p.html));
    else if (p.op === "amend") { const el = document.getElementById("L" + p.n); if (el) el.lastElementChild.innerHTML = p.html; }
    else if (p.op === "open") {
      const d = document.createElement("details");
      d.className = "sec"; d.open = !p.collapsed;
      d.append(row("summary", p.n, p.html));
      at.append(d); stack.push(d);
    } else if (p.op === "close" && stack.length > 1) {
      const section = stack.pop();
      if (p.seconds > 0) {
        const s = document.createElement("span");
        s.className = "took"; s.textContent = took(p.seconds * 1000);
        section.append(s);
      }
    }
  };
  let following = !location.hash;
  if (follow_box) { follow_box.checked = following; follow_box.addEventListener("change", () => { following = follow_box.checked; if (following) bottom(); }); }
  const bottom = () => scrollTo(0, document.documentElement.scrollHeight);
  addEventListener("wheel", (e) => { if (e.deltaY < 0 && following) { following = false; if (follow_box) follow_box.checked = false; } }, { passive: true });
  let queue = [], drawing = false;
  const draw = () => {
    drawing = false;
    for (const p of queue.splice(0)) apply(p);
    if (following) bottom();
  };
  const source = new EventSource(log.dataset.stream);
  source.addEventListener("pieces", (e) => {
    queue.push(...JSON.parse(e.data));
    if (!drawing) { drawing = true; document.hidden ? setTimeout(draw, 100) : requestAnimationFrame(draw); }
  });
  source.addEventListener("end", () => { source.close(); setTimeout(() => { draw(); refresh(); }, 50); });
  if (following) bottom();
})();
