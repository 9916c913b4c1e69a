// Answers over time: a ribbon of the answer and a lane for each class, with a cursor to seek by.

import { classesOf, clock, percent, soundsLike } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const LIVE_SPAN = 60; // seconds in view while recording

export const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

const draw = (name, attributes = {}) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

/** The colour of a class: its own where it has one, else one after the other. */
export const hue = (name, index) => `var(--${CSS.escape(name)}, var(--other-${index % 4}))`;

export class Timeline {
  /** `onSeek(seconds)` when the user points at a time. */
  constructor(box, onSeek) {
    this.box = box;
    this.onSeek = onSeek;
    this.rows = [];
    this.cursor = null;
    new ResizeObserver(() => this.rows.length && this.render()).observe(box);
  }

  /** Start anew for these classes. */
  reset(classes, live) {
    this.rows = [];
    this.live = live;
    this.cursor = null;
    this.classes = classes;
    this.ribbon = make("div", { class: "ribbon" });
    this.lanes = classes.map((name, i) => this.lane(name, i));
    this.line = make("div", { class: "cursor", hidden: "" });
    const seek = { class: "seek", role: "slider", tabindex: "0", "aria-label": "Time in the recording", "aria-valuemin": "0" };
    this.plot = make("div", seek, this.ribbon, ...this.lanes.map((lane) => lane.row), this.line);
    this.axis = make("div", { class: "axis", "aria-hidden": "true" });
    this.box.replaceChildren(this.plot, this.axis);
    this.plot.onpointerdown = (event) => this.point(event, true);
    this.plot.onpointermove = (event) => event.buttons === 1 && this.point(event, true);
    this.plot.onkeydown = (event) => this.key(event);
  }

  lane(name, index) {
    const value = make("span", { class: "lane-value" });
    const area = draw("path", { class: "area" });
    const edge = draw("path", { class: "edge" });
    const svg = draw("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(area, edge);
    const row = make("div", { class: "lane", "data-class": name }, make("span", { class: "lane-name" }, name), value, svg);
    row.style.setProperty("--hue", hue(name, index));
    return { name, row, value, svg, area, edge };
  }

  add(rows) {
    this.rows.push(...rows);
    this.render();
  }

  get end() {
    return this.rows.length ? this.rows.at(-1).end : 0;
  }

  /** The stretch of time in view, as [from, to]. */
  get view() {
    return this.live ? [Math.max(0, this.end - LIVE_SPAN), Math.max(LIVE_SPAN, this.end)] : [0, Math.max(this.end, 0.1)];
  }

  /** Recording is over: show it whole. */
  settle() {
    this.live = false;
    this.render();
  }

  render() {
    if (!this.rows.length) return;
    const [from, to] = this.view;
    const first = Math.max(0, this.rows.findIndex((row) => row.end > from) - 1);
    const rows = this.rows.slice(first);
    for (const lane of this.lanes) {
      lane.svg.setAttribute("viewBox", `${from} 0 ${to - from} 1`);
      const points = rows.map((row) => `${row.end} ${1 - row[`score_${lane.name}`]}`);
      const start = first ? [] : [`${rows[0].start} ${1 - rows[0][`score_${lane.name}`]}`];
      const edge = [...start, ...points];
      const left = edge[0].split(" ")[0];
      lane.edge.setAttribute("d", `M${edge.join("L")}`);
      lane.area.setAttribute("d", `M${left} 1L${edge.join("L")}L${rows.at(-1).end} 1Z`);
    }
    this.renderRibbon(from, to);
    this.renderAxis(from, to);
    this.plot.setAttribute("aria-disabled", this.live);
    this.plot.setAttribute("aria-valuemax", this.end.toFixed(1));
    this.show(this.live ? this.end : this.cursor);
  }

  renderRibbon(from, to) {
    const runs = [];
    this.rows.forEach((row, i) => {
      const begin = i ? this.rows[i - 1].end : row.start;
      if (row.end <= from) return;
      if (runs.length && runs.at(-1).emotion === row.emotion) runs.at(-1).end = row.end;
      else runs.push({ emotion: row.emotion, begin: Math.max(begin, from), end: row.end });
    });
    this.ribbon.replaceChildren(...runs.map((run) => {
      const width = (100 * (run.end - run.begin)) / (to - from);
      const piece = make("span", { class: run.emotion === "unknown" ? "run unknown" : "run", title: run.emotion }, run.emotion);
      piece.style.left = `${(100 * (run.begin - from)) / (to - from)}%`;
      piece.style.width = `${width}%`;
      piece.classList.toggle("narrow", (width / 100) * this.box.clientWidth < 8 * run.emotion.length + 12);
      piece.style.setProperty("--hue", hue(run.emotion, this.classes.indexOf(run.emotion)));
      return piece;
    }));
  }

  renderAxis(from, to) {
    const most = this.box.clientWidth < 500 ? 4 : 8;
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200].find((s) => (to - from) / s <= most) ?? 3600;
    const ticks = [];
    for (let t = Math.ceil(from / step) * step; t <= to - 0.04 * (to - from); t += step) {
      const tick = make("span", {}, clock(t));
      tick.style.left = `${(100 * (t - from)) / (to - from)}%`;
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }

  /** The answer that holds at a time. */
  at(seconds) {
    return this.rows.find((row) => row.end >= seconds - 1e-6) ?? this.rows.at(-1);
  }

  /** Put the cursor at a time; null: nowhere, and the lanes say nothing. */
  show(seconds) {
    this.cursor = seconds;
    const row = seconds === null ? null : this.at(seconds);
    for (const lane of this.lanes) lane.value.textContent = row ? percent(row[`score_${lane.name}`]) : "";
    const [from, to] = this.view;
    this.line.hidden = seconds === null;
    this.line.style.left = `${(100 * ((seconds ?? 0) - from)) / (to - from)}%`;
    if (!row) return;
    const emotion = row.emotion === "unknown" ? "cannot tell" : soundsLike(row.emotion);
    this.plot.setAttribute("aria-valuenow", seconds.toFixed(1));
    this.plot.setAttribute("aria-valuetext", `${clock(seconds)}, ${emotion}, ${percent(row.confidence)}`);
  }

  point(event) {
    if (this.live || !this.rows.length) return;
    const box = this.plot.getBoundingClientRect();
    this.seek(((event.clientX - box.left) / box.width) * this.end);
  }

  key(event) {
    if (this.live || !this.rows.length) return;
    const now = this.cursor ?? 0;
    const goal = {
      ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, PageDown: now - 10,
      PageUp: now + 10, Home: 0, End: this.end,
    }[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    this.seek(goal);
  }

  seek(seconds) {
    const goal = Math.max(0, Math.min(this.end, seconds));
    this.show(goal);
    this.onSeek(goal);
  }
}

/** The answers as rows of a table. */
export function fillTable(table, rows) {
  const classes = classesOf(rows[0]);
  const dimensions = ["arousal", "valence"].filter((name) => rows.some((row) => row[name] !== null));
  const heads = ["from", "to", "answer", ...classes, ...dimensions];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((row) => make("tr", {}, ...[
    row.start.toFixed(1), row.end.toFixed(1), row.emotion, ...classes.map((name) => percent(row[`score_${name}`])),
    ...dimensions.map((name) => (row[name] === null ? "" : percent(row[name]))),
  ].map((text) => make("td", {}, text))));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
}
