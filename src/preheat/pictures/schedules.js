"use strict";
// The formulas of preheat.schedules once more, for pictures that follow a slider. A test in a browser compares each with
// Python's curve to 1e-9. A twin takes options (lengths in steps, levels as factors of the peak) and the run's total T; it
// gives segments {begin, end, kind, f}, f(t) the factor at position t, continuous on [begin, end]. A broken rule is an Error.

const wave = (x) => Math.sin((Math.PI / 2) * x) ** 2;
const CURVES = {
  linear: (x) => x,
  cosine: (x, p) => wave(x) ** p,
  polynomial: (x, p) => x ** p,
  sqrt: (x) => Math.sqrt(x),
  "1-sqrt": (x) => x / (1 + Math.sqrt(1 - x)),
  square: (x) => x * (2 - x),
  mirror_cosine: (x) => 2 * x - wave(x),
};

// The factor of a piece from level `a` to level `b` where `over` of its time is over and `left` is left.
const along = (a, b, curve, power) => {
  const low = Math.min(a, b), high = Math.max(a, b);
  if (low === high) return () => high;
  const at = curve === "exponential"
    ? (x) => high * (low / high) ** (1 - x)
    : (x) => { const h = CURVES[curve](x, power ?? 1); return Math.min(Math.max(high * h + low * (1 - h), low), high); };
  return (over, left) => at(a < b ? over : left);
};

const piece = (length, start, end, curve = "linear", power = null, called = "curve") => {
  if (curve === "exponential" && Math.min(start, end) <= 0) {
    throw Error(`an exponential ${called} can't start or end at 0, got ${Math.min(start, end)}: write a small ratio such as 0.01`);
  }
  return { length, start, end, curve, power };
};

const snug = (x) => (Math.abs(x - Math.round(x)) <= 8e-15 * Math.abs(x) ? Math.round(x) : x);

// What each piece is in the schedule's story.
const kinds = (pieces) => {
  let rising = true, held = false;
  return pieces.map(({ start, end, named }) => {
    rising = rising && start < end;
    if (start < end) return rising ? "warmup" : "rise";
    if (start > end) return held ? "cooldown" : "decay";
    held = true;
    return end === 1 ? "stable" : named ?? "hold";
  });
};

// Pieces one after the other on [0, T]; one of them, of length null, is the rest.
const place = (pieces, T) => {
  const words = kinds(pieces), given = pieces.map((p) => p.length ?? 0), used = given.reduce((a, b) => a + b, 0);
  const got = pieces.map((p, i) => (p.length ? `${words[i]} ${p.length}` : "")).filter(Boolean).join(" + ") || "nothing";
  if (used > T * (1 + 1e-9)) {
    throw Error(`a schedule's pieces must fit in the run, got ${got} = ${snug(used)} steps of ${T}: shorten them or lengthen the run`);
  }
  const rest = pieces.findIndex((p) => p.length === null);
  let place = 0;
  const ends = given.map((n, i) => (place = snug(i === rest ? T - given.slice(i + 1).reduce((a, b) => a + b, 0) : place + n)));
  const spans = pieces.map((p, i) => ({ p, begin: i ? ends[i - 1] : 0, end: i === pieces.length - 1 ? T : ends[i] }));
  for (const { p, begin, end } of spans) {
    if (p.length === null && end - begin <= 1e-9 * T && p.start !== p.end) {
      throw Error(`no step is left for the piece (rest ${p.start} to ${p.end}), got ${got} = ${T} steps of ${T}: shorten the others or lengthen the run`);
    }
  }
  const kept = spans.filter(({ begin, end }) => end - begin > 1e-9 * T), told = kinds(kept.map(({ p }) => p));
  return kept.map(({ p, begin, end }, i) => {
    const factor = along(p.start, p.end, p.curve, p.power);
    return { begin, end, kind: told[i], f: (t) => factor((t - begin) / (end - begin), (end - t) / (end - begin)) };
  });
};

const rise = (o) => {
  if (o.warmup_curve === "constant") {
    return o.warmup ? [{ ...piece(o.warmup, o.warmup_start, o.warmup_start), named: "warmup" }] : [];
  }
  const one = piece(o.warmup, o.warmup_start, 1, o.warmup_curve, o.warmup_power, "warmup_curve");
  return o.warmup ? [one] : [];
};

// A warmup, then pieces.
const body = (pieces) => (o, T) => place([...rise(o), ...pieces(o, T)], T);
// A warmup, then rule(o, W, T) on [W, T]: f(t), or segments. check(o): what must hold of the options alone; end(o): the level
// that needs a step to be reached; places: the rule has places of its own, which a warmup may cover.
const after = (rule, { check = () => {}, end = () => 1, places = false } = {}) => (o, T) => {
  const first = rise(o);
  check(o);
  const placed = place([...first, piece(null, 1, end(o))], T), warm = placed.slice(0, first.length), W = warm.length ? warm[0].end : 0;
  if (W >= T && !places) return placed;
  const made = rule(o, W, T);
  return [...warm, ...(Array.isArray(made) ? made : [{ begin: W, end: T, kind: "decay", f: made }])];
};
const must = (holds, rule) => { if (!holds) throw Error(rule); };
const mix = (g, low) => g + low * (1 - g);

const TWINS = {};
TWINS.constant = body(() => [piece(null, 1, 1)]);
TWINS.linear = body((o) => [piece(null, 1, o.final)]);
TWINS.cosine = body((o) => [piece(null, 1, o.final, "cosine", o.power)]);
TWINS.polynomial = body((o) => [piece(null, 1, o.final, "polynomial", o.power)]);
TWINS.exponential = body((o) => [piece(null, 1, o.final, "exponential")]);
TWINS.wsd = body((o) => {
  const fall = piece(o.cooldown, 1, o.final, o.cooldown_curve, o.cooldown_power);
  return o.cooldown ? [piece(null, 1, 1), fall] : [piece(null, 1, 1)];
});
TWINS.one_cycle = body((o) => {
  if (!o.three_phase) return [piece(null, 1, o.final, o.curve, o.power)];
  must(o.warmup, "three phases need a rise, got warmup 0: write warmup='30%', or three_phase=False");
  return [piece(o.warmup, 1, o.warmup_start, o.curve, o.power), piece(null, o.warmup_start, o.final, o.curve, o.power)];
});

TWINS.inverse_sqrt = (o, T) => {
  const first = rise(o), held = piece(null, 1, 1);
  must(o.timescale !== null || o.warmup, "inverse_sqrt takes its timescale from the warmup, got warmup 0: write warmup='5%' or timescale=1000");
  must(o.cooldown || (o.cooldown_curve === "linear" && !o.final),
    "cooldown_curve and final belong to a cooldown, got cooldown 0: write cooldown='10%', or inverse_sqrt(...).floored(0.1) for a floor");
  const fall = piece(o.cooldown, 1, o.final, o.cooldown_curve, o.cooldown_power);
  const placed = place([...first, held, ...(o.cooldown ? [fall] : [])], T);
  const W = first.length ? placed[0].end : 0, c = o.timescale ?? o.warmup, law = (t) => Math.sqrt(c / (c + (t - W)));
  return placed.map((s, i) => {
    if (i < first.length) return s;
    if (s.end < T || !o.cooldown) return { ...s, kind: "decay", f: law };
    const final = o.final / law(T), n = s.end - s.begin;
    must(final <= 1 + 1e-12, `final must not lie above the law's own end, got ${o.final}: write a lower final, or a floor: inverse_sqrt(...).floored(0.1)`);
    const factor = along(1, Math.min(final, 1), o.cooldown_curve, o.cooldown_power);
    return { ...s, kind: "cooldown", f: (t) => law(t) * factor((t - s.begin) / n, (s.end - t) / n) };
  });
};

TWINS.inverse_time = after((o, W) => (t) => (o.timescale / (o.timescale + (t - W))) ** o.power);

TWINS.rex = after((o, W, T) => (t) => {
  const left = (T - t) / (T - W);
  return mix(left / (1 - o.beta + o.beta * left), o.final);
}, { end: (o) => o.final });

TWINS.tanh = after((o, W, T) => {
  const whole = o.end - o.begin;
  const fallen = (z) => { const y = o.end - z; return Math.exp(Math.min(0, -2 * y)) * -Math.expm1(-2 * z) / (1 + Math.exp(-2 * Math.abs(y))); };
  return (t) => mix(fallen((T - t) * (whole / (T - W))) / fallen(whole), o.final);
}, { check: (o) => must(o.begin < o.end, `begin must be below end, got begin=${o.begin} and end=${o.end}: write begin=-7, end=3`), end: (o) => o.final });

TWINS.k_decay = after((o, W, T) => {
  const fall = along(1, o.final, o.curve, o.power);
  return (t) => { const x = -Math.expm1(o.k * Math.log1p(-(T - t) / (T - W))); return fall(1 - x, x); };
}, { check: (o) => piece(null, 1, o.final, o.curve, o.power), end: (o) => o.final });

// HyperbolicLR: what the upper bound leaves of the decay's n steps.
const gap = (o, n) => {
  must(o.upper >= n * (1 - 1e-9), `upper must be at least the length of the decay, ${n} steps, got ${o.upper} steps: write the longest run that you mean to compare`);
  return Math.max(o.upper - n, 0);
};
TWINS.hyperbolic = after((o, W, T) => {
  const n = T - W, g = gap(o, n), first = Math.sqrt(n * (2 * g + n)), U = n + g;
  const final = o.infimum + ((1 - o.infimum) * (g / U) ** 2) / (1 + first / U);
  return (t) => mix(Math.sqrt((T - t) * (2 * g + (T - t))) / first, final);
}, { end: (o) => o.infimum });
TWINS.exp_hyperbolic = after((o, W, T) => {
  const n = T - W, g = gap(o, n), U = n + g, root = (left) => Math.sqrt(left * (2 * g + left));
  return (t) => o.infimum ** (((t - W) * (2 * U - (t - W))) / (U * (root(n) + root(T - t))));
}, { end: (o) => o.infimum });

TWINS.power_law = (o, T) => {
  const first = rise(o);
  const fall = piece(o.cooldown, 1, o.final, o.cooldown_curve, o.cooldown_power);
  const placed = place([...first, piece(null, 1, 1), ...(o.cooldown ? [fall] : [])], T);
  const law = (t) => (o.onset / Math.max(t, o.onset)) ** o.exponent;
  return placed.flatMap((s, i) => {
    if (i < first.length) {
      must(s.end <= o.onset, `the warmup must be over at the onset, step ${o.onset}, got ${s.end} steps: shorten the warmup`);
      return [s];
    }
    let { f } = s;
    if (s.end === T && o.cooldown) {
      const final = o.final / law(T), n = s.end - s.begin;
      must(final <= 1 + 1e-12, `final must not lie above the power law's own end, factor ${law(T).toPrecision(6)}, got ${o.final}: write a lower final, or cooldown=0`);
      const factor = along(1, Math.min(final, 1), o.cooldown_curve, o.cooldown_power);
      f = (t) => factor((t - s.begin) / n, (s.end - t) / n);
    }
    const cut = Math.min(Math.max(o.onset, s.begin), s.end);
    const parts = [{ ...s, end: cut, f }, { ...s, begin: cut, kind: s.kind === "stable" ? "decay" : s.kind, f: (t) => law(t) * f(t) }];
    return parts.filter(({ begin, end }) => begin < end);
  });
};

TWINS.step = after((o, W, T) => {
  const places = o.period ? [o.period] : o.milestones.length ? o.milestones : [T / 2, 0.75 * T];
  must([0, ...places].every((p, i, all) => p < (all[i + 1] ?? T)),
    `drops must come one after the other inside the run of ${T} steps, got them at ${places.join(", ")}: write rising milestones below ${T}, or a shorter period`);
  must(W <= places[0], `the warmup must be over at the first drop, step ${places[0]}, got ${W} steps: shorten it`);
  const drops = o.period ? Array.from({ length: Math.ceil(T / o.period) - 1 }, (_, i) => (i + 1) * o.period) : places;
  const bounds = [0, ...drops, T];
  return bounds.slice(0, -1).map((b, n) => ({ begin: Math.max(b, W), end: bounds[n + 1], kind: n ? "drop" : "stable", f: () => o.gamma ** n }))
    .filter(({ begin, end }) => begin < end);
}, { check: (o) => must(o.period === null || !o.milestones.length,
  `a step schedule has a period or milestones, got ${o.period} and ${o.milestones}: leave one out`), places: true });

TWINS.restarts = after((o, W, T) => {
  const n = T - W, starts = [0];
  must(o.mult >= 1 || o.period / (1 - o.mult) > n,
    `cycles that shrink must reach the end of the run, got mult=${o.mult} from ${o.period} steps, which never pass ${o.period / (1 - o.mult)} of ${n} steps: write a larger mult or period`);
  for (let i = 0, period = o.period; starts.at(-1) < n * (1 - 1e-9); i += 1, period *= o.mult) {
    starts.push(o.mult === 1 ? (i + 1) * o.period : snug(starts.at(-1) + period));
  }
  const fall = along(1, o.final, o.curve, o.power);
  return starts.slice(0, -1).map((from, i) => {
    const begin = W + from, next = W + starts[i + 1], high = o.peak_mult ** i;
    const f = (t) => { const left = Math.min(Math.max((next - t) / (next - begin), 0), 1); return high * fall(1 - left, left) + (1 - high) * o.final; };
    return { begin, end: Math.min(next, T), kind: i ? "restart" : "decay", f };
  });
}, { check: (o) => piece(null, 1, o.final, o.curve, o.power), end: (o) => o.final });

// One f on [begin, end], cut at its corners.
const cornered = (begin, end, corners, f, first = "rise") => {
  const near = 1e-9 * (end - begin), bounds = [begin, ...corners.filter((c) => c > begin + near && c < end - near), end];
  return bounds.slice(0, -1).map((a, i) => {
    const b = bounds[i + 1], change = f(b) - f(a);
    return { begin: a, end: b, kind: change < 0 ? "decay" : change === 0 ? "hold" : i ? "rise" : first, f };
  });
};
TWINS.triangular = (o, T) => {
  const first = rise(o), up = o.rise, down = o.fall ?? o.rise, period = up + down;
  const warm = place([...first, piece(null, 1, 1)], T).slice(0, first.length), W = warm.length ? warm[0].end : 0;
  must(warm.length || up <= T, `the first rise must fit in the run of ${T} steps, got ${up} steps: shorten it or lengthen the run`);
  const top = warm.length || o.step_mult === 1 ? up : Math.min(up, -1 / Math.log(o.step_mult)), peak = warm.length ? W : top;
  const f = (t) => {
    const x = top + (t - peak), n = Math.floor(x / period), begun = x - n * period;
    const a = Math.max(begun <= up ? begun / up : (period - begun) / down, 0) / (top / up);
    return mix(a * o.cycle_mult ** n * o.step_mult ** (t - peak), o.base);
  };
  const corners = [];
  for (let c = peak - top; c < T; c += period) corners.push(c, c + up);
  return [...(warm.length ? warm : cornered(0, peak, corners, f, "warmup")), ...(peak < T ? cornered(peak, T, corners, f) : [])];
};

TWINS.tabulated = after((o, W, T) => {
  const { values } = o, count = values.length, edge = (i) => W + ((T - W) * i) / count;
  if (o.between === "hold") {
    const edges = [0, ...values.map((_, i) => i + 1).filter((i) => i === count || values[i] !== values[i - 1])];
    return edges.slice(0, -1).map((i, k) => ({ begin: edge(i), end: edges[k + 1] === count ? T : edge(edges[k + 1]), kind: k ? "step" : "stable", f: () => values[i] }));
  }
  const knots = values.map((_, i) => edge(i + 0.5)), places = [W, ...knots, T], heights = [values[0], ...values, values.at(-1)];
  return places.slice(0, -1).map((a, i) => {
    const b = places[i + 1], y = heights[i], z = heights[i + 1];
    return { begin: a, end: b, kind: y < z ? "rise" : y > z ? "decay" : "hold", f: (t) => (y * (b - t) + z * (t - a)) / (b - a) };
  });
}, { check: (o) => must(!o.warmup || o.values[0] === 1, `after a warmup the values must begin at 1, got ${o.values[0]}: put the rise into them`) });

// PCHIP's slopes: a weighted harmonic mean of both sides, 0 at an extreme; at an end that of a parabola, bent back.
const slopes = (x, y) => {
  const h = x.slice(1).map((b, i) => b - x[i]), d = h.map((n, i) => (y[i + 1] - y[i]) / n), last = d.length - 1;
  if (!last) return [d[0], d[0]];
  const end = (h0, h1, d0, d1) => {
    const slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
    return slope * d0 <= 0 ? 0 : d0 * d1 <= 0 && Math.abs(slope) > 3 * Math.abs(d0) ? 3 * d0 : slope;
  };
  const inner = d.slice(1).map((d1, i) => {
    const w0 = 2 * h[i + 1] + h[i], w1 = h[i + 1] + 2 * h[i];
    return d[i] * d1 > 0 ? (w0 + w1) / (w0 / d[i] + w1 / d1) : 0;
  });
  return [end(h[0], h[1], d[0], d[1]), ...inner, end(h[last], h[last - 1], d[last], d[last - 1])];
};
TWINS.spline = after((o, W, T) => {
  const x = o.places, y = o.factors, m = slopes(x, y);
  must(W <= x[0], `the warmup must be over at the first place, step ${x[0]}, got ${W} steps: shorten it`);
  const inside = x.slice(1).map((b, i) => {
    const a = x[i], third = (b - a) / 3, low = Math.min(y[i], y[i + 1]), high = Math.max(y[i], y[i + 1]), clip = (v) => Math.min(Math.max(v, low), high);
    const b1 = clip(y[i] + m[i] * third), b2 = clip(y[i + 1] - m[i + 1] * third);
    const f = (t) => { const u = (t - a) / (b - a), r = (b - t) / (b - a); return clip(r * r * (y[i] * r + 3 * b1 * u) + u * u * (3 * b2 * r + y[i + 1] * u)); };
    return { begin: a, end: b, kind: y[i] > y[i + 1] ? "decay" : y[i] < y[i + 1] ? "rise" : "hold", f };
  });
  const ends = [{ begin: W, end: x[0], kind: "hold", f: () => y[0] }, { begin: x.at(-1), end: T, kind: "hold", f: () => y.at(-1) }];
  return [ends[0], ...inside, ends[1]].filter(({ begin, end }) => begin < end);
}, { check: (o) => {
  must(o.places.length === o.factors.length, `a spline needs as many places as factors, two or more, got ${o.places.length} and ${o.factors.length}: write places=['0%', '100%'], factors=[1, 0]`);
  must(!o.warmup || o.factors[0] === 1, `after a warmup the factors must begin at 1, got ${o.factors[0]}: put the rise into them`);
}, places: true });

// Damping factors: they have no warmup and count steps, whatever the run's length.
const damping = (f) => (o, T) => [{ begin: 0, end: T, kind: "damping", f: f(o) }];
TWINS.untuned_linear = (o, T) => {
  const period = snug(2 / (1 - o.beta2)), f = (t) => Math.min(t / period, 1);
  return [{ begin: 0, end: Math.min(period, T), kind: "warmup", f }, { begin: period, end: T, kind: "stable", f }].filter(({ begin, end }) => begin < end);
};
TWINS.untuned_exponential = damping((o) => (t) => -Math.expm1(-(o.period === null ? 1 - o.beta2 : 1 / o.period) * t));
TWINS.gi_adam = damping((o) => (t) => Math.sqrt(-Math.expm1(Math.log1p(-(1 - o.beta2)) * t)));
TWINS.radam = (o, T) => {
  const q = -Math.log1p(-(1 - o.beta2)) / 2, most = 1 / Math.tanh(q);
  const langevin = (y) => y / [17, 15, 13, 11, 9, 7, 5, 3].reduce((tail, odd) => odd + (y * y) / tail, 19);
  const rho = (n) => (q * n < 1 ? n * (1 - langevin(q * n)) : 1 / q - (2 * n) / Math.expm1(2 * Math.min(q * n, 300))) + langevin(q);
  let shift = 0, low = 0, high = 1;
  while (rho(shift + 1) <= 4) shift += 1;
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (rho(middle + shift) < 4) low = middle; else high = middle;
  }
  const f = (t) => { const r = Math.max(rho(t + shift), 4); return Math.min(Math.sqrt(((r - 4) / (most - 4)) * ((r - 2) / (most - 2)) * (most / r)), 1); };
  const begin = low ? high : 0;
  return [{ begin: 0, end: begin, kind: "hold", f: () => 0 }, { begin, end: T, kind: "damping", f }].filter((s) => s.begin < s.end);
};
