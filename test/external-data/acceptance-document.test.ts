/** docs/external-data.md says what the acceptance matrix says: change the cases, and this prints the new tables. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { agrees, type Case } from './acceptance/case.ts';
import { type Difference, differences } from './acceptance/differences.ts';
import { groups } from './acceptance/groups.ts';

const document = readFileSync(new URL('../../docs/external-data.md', import.meta.url), 'utf8');

/** The rows of the table under a heading, the table's own heading left out. */
function rowsBelow(heading: string): string[] {
  const [, section = ''] = document.split(`\n## ${heading}\n`);
  const lines = section.split('\n## ', 1)[0]?.split('\n') ?? [];
  return lines.filter((line) => line.startsWith('|')).slice(2);
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** Each summary once, with a dagger where ONNX Runtime decides differently. */
function listed(cases: readonly Case[]): string {
  const texts = cases.map((test) => `${test.summary ?? test.name}${agrees(test) ? '' : ' †'}`);
  return [...new Set(texts)].join('; ') || '–';
}

describe('docs/external-data.md', () => {
  it('lists every case under what becomes of it', () => {
    const rows = groups.map(({ heading, cases }) =>
      row(
        heading,
        listed(cases.filter(({ lathe }) => lathe === 'reads')),
        listed(cases.filter(({ lathe }) => lathe !== 'reads')),
      ),
    );
    expect(rowsBelow('What is read, what is refused')).toEqual(rows);
  });

  it('lists every deliberate difference', () => {
    const rows = Object.values<Difference>(differences).map(({ what, lathe, runtime, why }) =>
      row(what, lathe, runtime, why),
    );
    expect(rowsBelow('Where ONNX Runtime decides differently')).toEqual(rows);
  });
});

describe('the acceptance matrix', () => {
  it('has a case for each difference, and no two cases of one name', () => {
    const cases = groups.flatMap((group) => group.cases);
    const used = new Set(cases.flatMap(({ difference }) => difference ?? []));
    expect([...used].sort()).toEqual(Object.keys(differences).sort());
    for (const { cases } of groups) {
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    }
  });

  it('says a difference the way its cases go', () => {
    for (const { name, difference, lathe } of groups.flatMap(({ cases }) => cases)) {
      if (difference === undefined) continue;
      const says = differences[difference].lathe.startsWith('read') ? 'reads' : 'refuses';
      expect([name, lathe === 'reads' ? 'reads' : 'refuses']).toEqual([name, says]);
    }
  });
});
