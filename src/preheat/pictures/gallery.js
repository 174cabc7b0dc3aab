"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const page = { scale: "linear", unit: "steps", total: Number(byId("total").value), peak: Number(byId("peak").value) };
  const SVG = "http://www.w3.org/2000/svg";
  const create = (tag, properties = {}, ...children) => { const e = Object.assign(document.createElement(tag), properties); e.append(...children); return e; };
  const draw = (tag, attributes, text) => {
    const e = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const short = (v) => (v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential() : String(v));
  const rate = (v) => short(Number((v * page.peak).toPrecision(3)));
  const count = (v) => Number(v.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 2 });

  // How the value of each kind of option is shown, written in Python and on a command line, and handed to a twin.
  const float = (v) => (Number.isInteger(v) ? `${v}.0` : String(v));
  const list = (kind) => ({
    shown: (v) => v.map(kind.shown).join(", ") || "default",
    python: (v) => `[${v.map(kind.inside ?? kind.python).join(", ")}]`,
    shell: (v) => `[${v.map(kind.shell).join(",")}]`,
    value: (v) => v.map(kind.value),
  });
  const share = { shown: (v) => v + "%", python: (v) => float(v / 100), inside: (v) => `"${v}%"`, shell: (v) => v + "%", value: (v) => snug((v / 100) * page.total) };
  const whole = (v) => Math.ceil(snug(v * page.total));
  const runs = { shown: (v) => count(whole(v)), python: (v) => String(whole(v)), shell: (v) => String(whole(v)), value: whole };
  const number = { shown: short, python: short, shell: short, value: (v) => v };
  const text = { shown: String, python: (v) => JSON.stringify(v), shell: String, value: (v) => v };
  const flag = { shown: String, python: (v) => (v ? "True" : "False"), shell: String, value: (v) => v };
  const KINDS = { share, runs, number, text, flag, shares: list(share), numbers: list(number) };
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // --- one picture ---------------------------------------------------------------------------------------------------

  const W = 330, H = 205, BOX = { left: 40, right: 318, top: 24, bottom: 174 };

  // The points of segments: [[t, factor], ...] with both sides of a jump, closer near the ends of a curve.
  const sampled = (segments) => segments.flatMap(({ begin, end, f }) => {
    const n = Math.max(20, Math.ceil((160 * (end - begin)) / page.total));
    const inner = Array.from({ length: n - 1 }, (_, i) => begin + (end - begin) * (1 - Math.cos((Math.PI * (i + 1)) / n)) / 2);
    return [begin, ...inner, end].map((t) => [t, f(t)]);
  });
  const boundaries = (segments) => {
    let before = "";
    const out = [];
    for (const { begin, kind, f } of segments) {
      const label = begin === 0 ? "start" : before === "warmup" ? "warmup ends" : ["drop", "step", "restart"].includes(kind) ? kind : `${kind} starts`;
      out.push([begin, label, f(begin)]);
      before = kind;
    }
    const last = segments.at(-1);
    return [...out, [last.end, "end", last.f(last.end)]];
  };

  const axes = (svg, X, Y, { low, total }) => {
    const grid = draw("g", { class: "axis" }), words = draw("g", {});
    const levels = page.scale === "log" ? [1, 0.1, 0.01, 1e-3, 1e-4].filter((v) => v >= low) : [0, 0.25, 0.5, 0.75, 1];
    for (const v of levels) {
      grid.append(draw("path", { d: `M${BOX.left} ${Y(v)}H${BOX.right}` }));
      words.append(draw("text", { x: BOX.left - 6, y: Y(v) + 4, "text-anchor": "end" }, rate(v)));
    }
    for (const u of [0, 0.25, 0.5, 0.75, 1]) {
      grid.append(draw("path", { d: `M${X(u * total)} ${BOX.top}V${BOX.bottom}` }));
      const place = page.unit === "progress" ? String(u) : count(u * total);
      words.append(draw("text", { x: X(u * total), y: BOX.bottom + 15, "text-anchor": u === 1 ? "end" : "middle" }, place));
    }
    words.append(draw("text", { x: (BOX.left + BOX.right) / 2, y: H - 2, "text-anchor": "middle" }, page.unit === "progress" ? "progress" : "step"));
    words.append(draw("text", { x: 2, y: 11 }, page.peak === 1 ? "factor of the peak rate" : "learning rate"));
    svg.append(grid, words);
  };

  // A boundary's words beside its ring: the first place that covers no other words, with as little of the curve as possible.
  const NEAR = [[0, -9, "middle"], [7, -7, "start"], [-7, -7, "end"], [7, 13, "start"], [-7, 13, "end"], [0, 19, "middle"], [9, 4, "start"], [-9, 4, "end"]];
  const label = (x, y, words, line, taken) => {
    let best = null;
    for (const said of words) {
      for (const [dx, dy, anchor] of NEAR) {
        const width = 6 * said.length, left = x + dx - (anchor === "middle" ? width / 2 : anchor === "end" ? width : 0);
        const box = { left, right: left + width, top: y + dy - 9, bottom: y + dy + 2 };
        if (box.left < BOX.left + 2 || box.right > W || box.top < 12 || box.bottom > BOX.bottom + 2) continue;
        if (taken.some((o) => box.left < o.right + 3 && o.left < box.right + 3 && box.top < o.bottom && o.top < box.bottom)) continue;
        const hits = line.filter(([a, b]) => a > box.left - 2 && a < box.right + 2 && b > box.top - 1 && b < box.bottom + 1).length;
        if (!best || hits < best.hits) best = { hits, box, said, dx, dy, anchor };
        if (!hits) break;
      }
      if (best && best.hits < 3) break;
    }
    if (!best || best.hits > 12) return null;
    taken.push(best.box);
    return draw("text", { class: "mark", x: x + best.dx, y: y + best.dy, "text-anchor": best.anchor }, best.said);
  };

  // The drawn line as points 3 apart.
  const dense = (path) => path.flatMap(([x, y], i) => {
    const [a, b] = path[i - 1] ?? [x, y], n = Math.ceil(Math.hypot(x - a, y - b) / 3) || 1;
    return Array.from({ length: n }, (_, k) => [a + ((x - a) * (k + 1)) / n, b + ((y - b) * (k + 1)) / n]);
  });

  const picture = (name, points, marks, total) => {
    const least = Math.max(1e-4, Math.min(...points.map(([, y]) => y))), low = page.scale === "log" ? least / 1.6 : 0;
    const part = page.scale === "log" ? (y) => Math.log(y / low) / Math.log(1.6 / low) : (y) => y / 1.08;
    const X = (t) => BOX.left + ((BOX.right - BOX.left) * t) / total, Y = (y) => BOX.bottom - (BOX.bottom - BOX.top) * part(y);
    const told = marks.map(([t, words, y]) => `${words} ${rate(y)} at ${count(t)}`).slice(0, 12).join("; ");
    const svg = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${name}: ${told}` });
    axes(svg, X, Y, { low, total });
    // Below the lowest level the line leaves the picture: of what lies there only the ends are kept, on the edge.
    const inside = points.map(([, y]) => y >= low), kept = inside.map((here, i) => here || inside[i - 1] || inside[i + 1]);
    const path = points.map(([t, y]) => [X(t), Y(Math.max(y, low))]);
    const steps = path.map(([x, y], i) => (kept[i] ? `${kept[i - 1] ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}` : ""));
    svg.append(draw("path", { class: "curve", d: steps.join("") }));
    const taken = [], texts = [], crowded = marks.length > 6, line = dense(path);
    for (const [t, words, y] of marks.filter(([, , y]) => y >= low)) {
      svg.append(draw("circle", { cx: X(t), cy: Y(y), r: crowded ? 2 : 3.2 }));
      const plain = words === "start" || words === "end" || crowded;
      const said = label(X(t), Y(y), plain ? [rate(y)] : [`${words}: ${rate(y)}`, rate(y)], line, taken);
      if (said) texts.push(said);
    }
    svg.append(...texts);
    return svg;
  };

  // --- one card ------------------------------------------------------------------------------------------------------

  const copied = (button, code) => {
    const done = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done(document.execCommand("copy") ? "Copied" : "Selected");
    };
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => done("Copied"), select); else select();
  };
  const copyable = (kind, name) => {
    const code = create("code", { className: kind });
    const button = create("button", { type: "button", textContent: "Copy" });
    button.setAttribute("aria-label", `Copy the ${{ python: "Python", shell: "command line", json: "JSON" }[kind]} form of ${name}`);
    button.addEventListener("click", () => copied(button, code));
    return create("div", { className: "copy" }, code, button);
  };

  const control = (option, update) => {
    const { name, kind, values, open } = option, form = KINDS[kind];
    const shown = (v) => (v === null ? "none" : form.shown(v));
    const at = values.findIndex((v) => same(v, open));
    let input, output = "";
    if (kind === "flag") {
      input = create("input", { type: "checkbox", checked: open });
    } else if (kind === "share" || kind === "runs" || kind === "number") {
      input = create("input", { type: "range", min: 0, max: values.length - 1, step: 1 });
      input.value = at;
      output = create("output");
    } else {
      input = create("select", {}, ...values.map((v, i) => new Option(shown(v), i, i === at, i === at)));
    }
    input.dataset.option = name;
    const value = () => (kind === "flag" ? input.checked : values[Number(input.value)]);
    const tell = () => { if (output) { output.textContent = shown(value()); input.setAttribute("aria-valuetext", output.textContent); } };
    input.addEventListener("input", () => { update(); });
    return { option, input, value, tell, row: create("label", { className: "option" }, create("span", { textContent: name }), input, output) };
  };

  // The options as they stand, in the order of a call; a power is one only where its curve has one.
  const settings = (controls) => {
    const now = Object.fromEntries(controls.map((c) => [c.option.name, c.value()]));
    return controls.map(({ option, input }) => {
      const curve = option.curve && now[option.curve];
      if (option.curve) input.disabled = curve !== "polynomial" && curve !== "cosine";
      const idle = option.curve && (input.disabled || (curve === "cosine" && now[option.name] === 1));
      return { option, value: idle ? null : now[option.name] };
    });
  };
  const flags = () => [
    page.total === 1000 ? "" : ` --steps ${page.total}`, page.peak === 1 ? "" : ` --peak-lr ${short(page.peak)}`,
    page.unit === "steps" ? "" : " --unit progress", page.scale === "linear" ? "" : " --log",
  ].join("");
  const command = (word) => `preheat plot ${/[[\]]/.test(word) ? `'${word}'` : word}${flags()}`;
  const written = (name, set) => {
    const told = set.filter(({ option, value }) => option.required || !same(value, option.default ?? null));
    const form = (how, none) => told.map(({ option, value }) => `${option.name}=${value === null ? none : KINDS[option.kind][how](value)}`);
    const words = form("shell", "null").join(",");
    return { python: `${name}(${form("python", "None").join(", ")})`, shell: command(words ? `${name}:${words}` : name) };
  };

  const makeCard = (element, data) => {
    const { name } = element.dataset, live = element.querySelector(".live");
    const figure = create("div"), rule = create("p", { className: "rule", hidden: true });
    rule.setAttribute("role", "status");
    const show = (texts) => {
      for (const [kind, words] of Object.entries(texts)) {
        live.querySelector("." + kind).replaceChildren(...words.split(/( )/).map((word) => (word === " " ? word : create("span", { textContent: word }))));
      }
    };
    const broken = (words) => { rule.textContent = words; rule.hidden = false; figure.replaceChildren(); };
    live.append(figure, rule);
    if (!data.options) {
      for (const kind of Object.keys(data.texts ?? {})) {
        const form = copyable(kind, name);
        live.append(kind === "json" ? create("details", {}, create("summary", { textContent: "JSON, for preheat plot @FILE" }), form) : form);
      }
      return () => {
        if (data.rule) { broken(data.rule); return; }
        const last = data.x.at(-1), marks = data.marks;
        figure.replaceChildren(picture(name, data.x.map((t, i) => [t, data.y[i]]), marks, last));
        show({ ...data.texts, ...(data.texts.shell ? { shell: command(data.texts.shell) } : {}) });
      };
    }
    const update = () => {
      const set = settings(controls);
      controls.forEach((c) => c.tell());
      const options = Object.fromEntries(set.map(({ option, value }) => [option.name, value === null ? null : KINDS[option.kind].value(value)]));
      show(written(name, set));
      try {
        const segments = TWINS[name](options, page.total);
        element.drawn = { segments, boundaries: boundaries(segments) };
        figure.replaceChildren(picture(name, sampled(segments), element.drawn.boundaries, page.total));
        rule.hidden = true;
      } catch (error) {
        element.drawn = { rule: error.message };
        broken(error.message);
      }
      for (const button of live.querySelectorAll(".copy button")) button.disabled = !rule.hidden;
    };
    const controls = data.options.map((option) => control(option, update));
    const folded = controls.filter((c) => c.option.folded).map((c) => c.row);
    live.append(...controls.filter((c) => !c.option.folded).map((c) => c.row));
    if (folded.length) live.append(create("details", {}, create("summary", { textContent: "Shape of the warmup" }), ...folded));
    live.append(copyable("python", name), copyable("shell", name));
    return update;
  };

  // --- the page ------------------------------------------------------------------------------------------------------

  const data = JSON.parse(byId("data").textContent);
  const elements = [...document.querySelectorAll(".schedule")];
  const words = elements.map((e) => (e.textContent + " " + e.closest(".family").querySelector("h2").textContent).toLowerCase());
  const updates = elements.map((e) => makeCard(e, data[e.dataset.name]));
  const refresh = () => updates.forEach((update) => update());

  const find = () => {
    const wanted = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    elements.forEach((e, i) => { e.hidden = !wanted.every((w) => words[i].includes(w)); });
    for (const family of document.querySelectorAll(".family")) family.hidden = !family.querySelector(".schedule:not([hidden])");
    const hits = elements.filter((e) => !e.hidden).length;
    byId("shown").textContent = hits ? `${hits} of ${elements.length} schedules` :
      `No schedule has these words, got "${byId("find").value}": write fewer, or a part of one such as cos, warm or torch.`;
  };
  const peak = () => {
    const given = Number(byId("peak").value), right = given > 0 && Number.isFinite(given);
    byId("peak").setAttribute("aria-invalid", String(!right));
    byId("wrong").textContent = right ? "" : `The peak rate is a number above 0, got "${byId("peak").value}": write 0.001.`;
    if (right) { page.peak = given; refresh(); }
  };
  byId("settings").hidden = false;
  byId("settings").addEventListener("submit", (e) => e.preventDefault());
  byId("find").addEventListener("input", find);
  byId("peak").addEventListener("input", peak);
  for (const id of ["scale", "unit", "total"]) {
    byId(id).addEventListener("change", () => { page[id] = id === "total" ? Number(byId(id).value) : byId(id).value; refresh(); });
  }
  refresh();
})();
