(() => {
  const open = () => {
    const at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!at) return;
    for (let d = at.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    at.scrollIntoView();
  };
  const folded = [...document.querySelectorAll("details.chapter, .sure details")];
  let closed = [];
  window.addEventListener("beforeprint", () => { closed = folded.filter((d) => !d.open); closed.forEach((d) => { d.open = true; }); });
  window.addEventListener("afterprint", () => { closed.forEach((d) => { d.open = false; }); });
  window.addEventListener("hashchange", open);
  document.addEventListener("click", (e) => { const a = e.target.closest('a[href^="#"]'); if (a && a.hash === location.hash) open(); });
  open();
})();
(() => {
  const source = document.getElementById("run-data");
  if (!source) return;
  const { columns, rows, shorten } = JSON.parse(source.textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 50;
  const texts = rows.map((row) => row.map((v) => (v === null ? "" : String(v))).join("\u0001").toLowerCase());
  const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(%|ep)?$/i;
  const empty = (v) => v === null || v === "";
  const numeric = columns.map((_, j) => rows.some((r) => !empty(r[j])) && rows.every((r) => empty(r[j]) || NUMBER.test(String(r[j]))));
  const order = (x, y, j) => (numeric[j] ? parseFloat(x) - parseFloat(y) : String(x).localeCompare(String(y), "en", { numeric: true }));
  const state = { shown: rows.map((_, i) => i), page: 0, column: -1, down: false, chosen: new Map() };

  const compare = (a, b) => {
    const x = rows[a][state.column], y = rows[b][state.column];
    if (x === y) return a - b;
    if (empty(x) || empty(y)) return empty(x) && empty(y) ? a - b : empty(x) ? 1 : -1;
    const sign = order(x, y, state.column) || a - b;
    return state.down ? -sign : sign;
  };

  const select = () => {
    const wanted = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...state.chosen];
    state.shown = [];
    for (let i = 0; i < rows.length; i++) {
      if (wanted.every((w) => texts[i].includes(w)) && chosen.every(([j, v]) => String(rows[i][j] ?? "") === v)) state.shown.push(i);
    }
    if (state.column >= 0) state.shown.sort(compare);
    state.page = 0;
    draw();
  };

  const cell = (v, j) => {
    const td = document.createElement("td");
    td.textContent = v === null ? "" : String(v);
    if (shorten[j] && td.textContent.length > shorten[j]) { td.title = td.textContent; td.textContent = td.textContent.slice(0, shorten[j]); }
    if (numeric[j]) td.className = "number";
    return td;
  };

  const draw = () => {
    const n = state.shown.length, pages = Math.max(1, Math.ceil(n / PAGE));
    const body = document.createElement("tbody");
    for (const i of state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const tr = document.createElement("tr");
      rows[i].forEach((v, j) => tr.append(cell(v, j)));
      body.append(tr);
    }
    byId("run-table").tBodies[0].replaceWith(body);
    byId("shown").textContent = n.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " runs";
    byId("at").textContent = "page " + (state.page + 1) + " of " + pages;
    byId("back").disabled = state.page === 0;
    byId("next").disabled = state.page >= pages - 1;
    byId("pager").hidden = pages === 1;
  };

  const head = document.createElement("tr");
  columns.forEach((name, j) => {
    const th = document.createElement("th"), sort = document.createElement("button");
    th.scope = "col";
    if (numeric[j]) th.className = "number";
    sort.type = "button";
    sort.textContent = name;
    sort.addEventListener("click", () => {
      state.down = state.column === j && !state.down;
      state.column = j;
      for (const other of head.children) { other.removeAttribute("aria-sort"); other.firstChild.textContent = other.firstChild.textContent.replace(/ [▲▼]$/, ""); }
      th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      sort.textContent += state.down ? " ▼" : " ▲";
      select();
    });
    th.append(sort);
    head.append(th);
  });
  byId("run-table").tHead.append(head);

  columns.forEach((name, j) => {
    const values = [...new Set(rows.map((r) => String(r[j] ?? "")))];
    if (values.length < 2 || values.length > 12 || rows.length < 3) return;
    values.sort((a, b) => (empty(a) || empty(b) ? (empty(a) ? 1 : -1) : order(a, b, j)));
    const label = document.createElement("label"), choice = document.createElement("select");
    label.append(name);
    choice.dataset.column = name;
    choice.append(new Option("all", ""));
    for (const v of values) choice.append(new Option(v === "" ? "(empty)" : v, v));
    choice.addEventListener("change", () => {
      if (choice.selectedIndex === 0) state.chosen.delete(j); else state.chosen.set(j, choice.value);
      select();
    });
    label.append(choice);
    byId("choices").append(label);
  });

  byId("filters").hidden = false;
  byId("filters").addEventListener("submit", (e) => e.preventDefault());
  byId("find").addEventListener("input", select);
  byId("back").addEventListener("click", () => { state.page--; draw(); });
  byId("next").addEventListener("click", () => { state.page++; draw(); });
  select();
})();

(() => {
  for (const figure of document.querySelectorAll("figure")) {
    const cells = [...figure.querySelectorAll(".told")];
    if (!cells.length) continue;
    const said = document.createElement("p");
    said.className = "readout";
    said.setAttribute("role", "status");
    said.textContent = "Point at a cell, or reach it with Tab and the arrow keys, to read its runs.";
    figure.querySelector(".scroll").after(said);
    const at = new Map(cells.map((cell) => [cell.dataset.row + "," + cell.dataset.column, cell]));
    const read = (cell) => { said.textContent = cell.getAttribute("aria-label"); };
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    for (const cell of cells) {
      cell.addEventListener("pointerenter", () => read(cell));
      cell.addEventListener("focus", () => read(cell));
      cell.addEventListener("keydown", (e) => {
        const way = step[e.key];
        if (!way) return;
        e.preventDefault();
        let row = +cell.dataset.row + way[0], column = +cell.dataset.column + way[1];
        for (let far = 0; far < 200; far++, row += way[0], column += way[1]) {
          const next = at.get(row + "," + column);
          if (!next) continue;
          cell.setAttribute("tabindex", "-1");
          next.setAttribute("tabindex", "0");
          next.focus();
          return;
        }
      });
    }
  }
})();
