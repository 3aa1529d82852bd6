// The conversation in words, one list entry an item, in the server's order.

export class Transcript {
  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, HTMLLIElement>} */
    this.items = new Map();
  }

  /**
   * The entry of an item, made when it is new.
   * @param {string} itemId
   * @param {"user" | "assistant"} role
   */
  entry(itemId, role) {
    const known = this.items.get(itemId);
    if (known) return known;
    this.list.querySelector(".empty")?.remove();
    const entry = document.createElement("li");
    entry.className = role;
    entry.dataset.item = itemId;
    entry.textContent = role === "user" ? "…" : "";
    this.items.set(itemId, entry);
    this.list.append(entry);
    entry.scrollIntoView({ block: "nearest" });
    return entry;
  }

  /** @param {string} itemId @param {string} text */
  heard(itemId, text) {
    this.entry(itemId, "user").textContent = text || "(nothing understood)";
  }

  /** @param {string} itemId @param {string} delta */
  answered(itemId, delta) {
    this.entry(itemId, "assistant").append(delta);
  }

  /** @param {string} itemId */
  cut(itemId) {
    this.items.get(itemId)?.classList.add("cut");
  }
}
