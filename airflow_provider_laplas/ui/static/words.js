/** A transcript as data: its words in one flat list, the paragraphs they form, and which word is spoken when. */

const LONG = 180; // words after which a paragraph is divided, wherever that is
const DIVIDE = 110; // words after which it is divided where a sentence ends
const LINGERS = 1; // seconds for which a word stays the spoken one if nothing follows it
const SENTENCE_ENDS = /[.!?…。！？]["'”’»)]?$/u;

/** Cut what is too long to be read, or laid out at once, into paragraphs. */
function* divided(words) {
  let from = 0;
  for (let at = 1; at <= words.length; at += 1) {
    const length = at - from;
    const enough = length >= LONG || (length >= DIVIDE && SENTENCE_ENDS.test(words[at - 1][0]));
    if (at === words.length || (enough && words.length - at > 20)) {
      yield words.slice(from, at);
      from = at;
    }
  }
}

export class Words {
  /** @param paragraphs those of the transcript route */
  constructor(paragraphs) {
    this.texts = [];
    this.starts = [];
    this.ends = [];
    this.confidences = [];
    this.spaces = [];
    this.offsets = []; // of each word in `text`
    this.blocks = [];
    const pieces = [];
    let length = 0;
    let voice;
    for (const { speaker, channel, start, words } of paragraphs) {
      const name = speaker ?? (channel === null || channel === undefined ? null : `Channel ${channel}`);
      let first = true;
      for (const part of divided(words)) {
        const from = this.texts.length;
        for (const [text, begin, end, confidence, space] of part) {
          const between = this.texts.length === from ? "\n" : space ? " " : "";
          pieces.push(between, text);
          this.offsets.push(length + between.length);
          length += between.length + text.length;
          this.texts.push(text);
          this.starts.push(begin);
          this.ends.push(end);
          this.confidences.push(confidence);
          this.spaces.push(Boolean(space));
        }
        this.blocks.push({ from, to: this.texts.length, start: part[0][1] ?? (first ? start : null), voice: name, turn: name !== voice });
        voice = name;
        first = false;
      }
    }
    this.text = pieces.join("");
    this.length = this.texts.length;
    this.#order = this.#inTime();
  }

  #order;

  // Channels speak at the same time: the order of the words is not that of their times.
  #inTime() {
    const order = [];
    for (let index = 0; index < this.length; index += 1) if (this.starts[index] !== null) order.push(index);
    return order.sort((one, other) => this.starts[one] - this.starts[other] || one - other);
  }

  get timed() {
    return this.#order.length > 0;
  }

  /** The word that is spoken at a time, -1 where none is. */
  at(seconds) {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[this.#order[middle]] <= seconds) low = middle + 1;
      else high = middle;
    }
    if (!low) return -1;
    const word = this.#order[low - 1];
    return seconds > (this.ends[word] ?? this.starts[word]) + LINGERS ? -1 : word;
  }

  /** The word at a time, or the next one after it; the last where none is; -1 without times. */
  near(seconds) {
    const word = this.at(seconds);
    if (word >= 0 || !this.timed) return word;
    return this.#order.find((index) => this.starts[index] >= seconds) ?? this.#order.at(-1);
  }

  /** The word that holds an offset in `text`. */
  holding(offset) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.offsets[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The block that holds a word. */
  block(word) {
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle].from <= word) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

const LETTER = /[\p{L}\p{N}]/u;
const MARKS = /\p{M}/gu;
const APOSTROPHES = new Set(["'", "’", "ʼ"]);

function folded(character) {
  const code = character.charCodeAt(0);
  if ((code > 96 && code < 123) || (code > 47 && code < 58)) return character;
  if (code > 64 && code < 91) return String.fromCharCode(code + 32);
  if (APOSTROPHES.has(character)) return "";
  if (code < 128) return " ";
  const plain = character.normalize("NFKD").replace(MARKS, "").toLowerCase();
  return plain === "" || LETTER.test(plain) ? plain : " ";
}

/**
 * Return a text as it is searched, and where each of its characters comes from. Case, accents, punctuation and apostrophes
 * do not count: "fellow americans ask" finds "fellow Américans, ask".
 */
export function searchable(text) {
  const kept = [];
  const from = [];
  let offset = 0;
  let gap = true;
  for (const character of text) {
    const plain = folded(character);
    if (plain === " ") {
      if (!gap) {
        kept.push(" ");
        from.push(offset);
      }
      gap = true;
    } else if (plain) {
      kept.push(plain);
      for (let part = 0; part < plain.length; part += 1) from.push(offset);
      gap = false;
    }
    offset += character.length;
  }
  from.push(offset);
  return { text: kept.join(""), from, source: text };
}

/** Return where a phrase is found, as pairs of offsets in the text that was made searchable. */
export function found(phrase, { text, from, source }) {
  const wanted = searchable(phrase).text.trim();
  const hits = [];
  if (!wanted) return hits;
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    const last = from[at + wanted.length - 1];
    hits.push([from[at], last + (source.codePointAt(last) > 0xffff ? 2 : 1)]);
  }
  return hits;
}
