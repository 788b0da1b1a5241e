/** Text from a stranger's model, made safe for a terminal. Pure. */

/** Control and format characters, line and paragraph separators: what a terminal acts on instead of showing. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Most lines: to compile the other expression takes longer than to print a report. */
const PLAIN = /^[ -~→]*$/;

/** `\u001b` for one character; two escapes where UTF-16 has two units, as JSON has it. */
function escaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
    .join('');
}

/** `text` in one line, what would move the cursor, colour or reorder it written as `\u001b`. */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(ACTIVE, escaped);
}

/** The same JSON document with the characters escaped that `JSON.stringify` leaves alone; its own line ends stay. */
export function printableJson(json: string): string {
  return json.replace(ACTIVE, (character) => (character === '\n' ? '\n' : escaped(character)));
}
