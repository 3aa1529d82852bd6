// Every event in OpenAI's names, both directions, newest last; runs of the same delta are counted, not listed.

const KEPT = 500;

export class EventLog {
  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.list = list;
    this.began = performance.now();
    /** @type {{ key: string, count: number, label: HTMLElement } | null} */
    this.run = null;
  }

  /** @param {"→" | "←"} direction @param {Record<string, any>} event */
  add(direction, event) {
    const key = direction + event.type;
    const repeats = event.type.endsWith(".delta") || event.type === "input_audio_buffer.append";
    if (repeats && this.run?.key === key) {
      this.run.label.textContent = `${event.type} × ${++this.run.count}`;
      return;
    }
    const entry = document.createElement("li");
    entry.dataset.type = event.type;
    const time = document.createElement("time");
    time.textContent = ((performance.now() - this.began) / 1000).toFixed(3);
    const arrow = document.createElement("span");
    arrow.textContent = direction;
    arrow.title = direction === "→" ? "sent" : "received";
    const body = document.createElement("details");
    const label = document.createElement("summary");
    label.textContent = event.type;
    const json = document.createElement("pre");
    body.addEventListener("toggle", () => { json.textContent = pretty(event); }, { once: true });
    body.append(label, json);
    entry.append(time, arrow, body);
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(entry);
    if (this.list.children.length > KEPT) this.list.firstElementChild?.remove();
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
    this.run = repeats ? { key, count: 1, label } : null;
  }
}

/** @param {Record<string, any>} event */
function pretty(event) {
  const short = (/** @type {string} */ key, /** @type {unknown} */ value) =>
    (key === "audio" || key === "delta") && typeof value === "string" && value.length > 120
      ? `${value.slice(0, 60)}… (${value.length} characters)` : value;
  return JSON.stringify(event, short, 2);
}
