// Arousal against valence, with a fading trail of the last seconds.

const SVG = "http://www.w3.org/2000/svg";
const TRAIL = 12;

const draw = (name, attributes, text = "") => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};

const [SIZE, EDGE] = [300, 30];
const x = (valence) => EDGE + valence * (SIZE - 2 * EDGE);
const y = (arousal) => SIZE - EDGE - arousal * (SIZE - 2 * EDGE);

export class Plane {
  constructor(box) {
    this.svg = draw("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": "Arousal and valence" });
    const side = SIZE - 2 * EDGE;
    this.trail = draw("g", { class: "trail" });
    this.svg.append(
      draw("rect", { x: EDGE, y: EDGE, width: side, height: side, rx: 10, class: "ground" }),
      draw("path", { d: `M${x(0.5)} ${y(0)}V${y(1)}M${x(0)} ${y(0.5)}H${x(1)}`, class: "cross" }),
      draw("text", { x: x(0.5), y: y(1) - 10, class: "side" }, "aroused"),
      draw("text", { x: x(0.5), y: y(0) + 20, class: "side" }, "calm"),
      draw("text", { x: x(0) - 10, y: y(0.5), class: "side", transform: `rotate(-90 ${x(0) - 10} ${y(0.5)})` }, "negative"),
      draw("text", { x: x(1) + 10, y: y(0.5), class: "side", transform: `rotate(90 ${x(1) + 10} ${y(0.5)})` }, "positive"),
      this.trail,
    );
    box.replaceChildren(this.svg);
  }

  /** Show the last of these answers and where they came from. */
  show(rows) {
    const known = rows.filter((row) => row.arousal !== null && row.valence !== null).slice(-TRAIL);
    if (!known.length) return this.trail.replaceChildren();
    const marks = [];
    known.forEach((row, i) => {
      const opacity = (i + 1) / known.length;
      const here = { cx: x(row.valence), cy: y(row.arousal) };
      if (i) {
        const before = known[i - 1];
        const line = { x1: x(before.valence), y1: y(before.arousal), x2: here.cx, y2: here.cy, opacity: 0.6 * opacity };
        marks.push(draw("line", line));
      }
      const last = i === known.length - 1;
      marks.push(draw("circle", { ...here, r: last ? 9 : 3.5, opacity: last ? 1 : 0.6 * opacity, class: last ? "now" : "" }));
    });
    this.trail.replaceChildren(...marks);
    const { arousal, valence } = known.at(-1);
    const words = `Arousal ${Math.round(100 * arousal)} %, valence ${Math.round(100 * valence)} %`;
    this.svg.setAttribute("aria-label", words);
    return undefined;
  }
}
