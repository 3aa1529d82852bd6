// The stages of each turn, measured in this browser from the last voiced frame that was sent.
// Fed with event names as they arrive; draws one table row a turn.

/** @type {[string, string][]} */
const STAGES = [
  ["decided", "Turn decided"], ["transcript", "Transcript"], ["token", "First token"],
  ["audio", "First audio"], ["heard", "Heard"],
];
const SVG = "http://www.w3.org/2000/svg";
const VOICED = 0.015;

export class Waterfall {
  /** @param {HTMLTableSectionElement} body */
  constructor(body) {
    this.body = body;
    this.lastVoiced = 0;
    this.turns = 0;
    /** @type {{ since: number, at: Map<string, number>, row: HTMLTableRowElement } | null} */
    this.turn = null;
  }

  /** @param {number} level RMS of the frame that is being sent */
  frame(level) {
    if (level > VOICED) this.lastVoiced = performance.now();
  }

  /** The server decided that the turn is over. */
  decided() {
    const row = this.body.insertRow();
    row.insertCell().textContent = String(++this.turns);
    for (const [name] of STAGES) {
      const cell = row.insertCell();
      cell.dataset.stage = name;
      cell.textContent = "–";
    }
    row.insertCell().className = "picture";
    this.turn = { since: this.lastVoiced || performance.now(), at: new Map(), row };
    this.mark("decided");
    row.scrollIntoView({ block: "nearest" });
  }

  /**
   * A stage was reached, now or in `inMs`; only the first time of a turn counts.
   * @param {string} stage
   * @param {number} [inMs]
   */
  mark(stage, inMs = 0) {
    const turn = this.turn;
    if (!turn || turn.at.has(stage)) return;
    const ms = Math.round(performance.now() + inMs - turn.since);
    turn.at.set(stage, ms);
    const cell = /** @type {HTMLTableCellElement | null} */ (turn.row.querySelector(`[data-stage="${stage}"]`));
    if (cell) cell.textContent = String(ms);
    draw(turn.row.cells[turn.row.cells.length - 1], turn.at);
  }
}

/**
 * @param {HTMLTableCellElement} cell
 * @param {Map<string, number>} at
 */
function draw(cell, at) {
  const scale = Math.max(1000, ...at.values());
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${scale} 10`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const said = STAGES.filter(([name]) => at.has(name)).map(([name, label]) => `${label} ${at.get(name)} ms`);
  svg.setAttribute("aria-label", said.join(", "));
  let from = 0;
  for (const [name] of [...STAGES].sort((a, b) => (at.get(a[0]) ?? 0) - (at.get(b[0]) ?? 0))) {
    const to = at.get(name);
    if (to === undefined) continue;
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("x", String(from));
    bar.setAttribute("width", String(Math.max(to - from, scale / 200)));
    bar.setAttribute("height", "10");
    bar.setAttribute("class", name);
    svg.append(bar);
    from = to;
  }
  cell.replaceChildren(svg);
}
