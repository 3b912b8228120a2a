// node validate.mjs FILE: what AsyncAPI's own parser says of a document; exits 1 where it has errors.
import { readFile } from 'node:fs/promises';
import { argv, exit } from 'node:process';
import { Parser } from '@asyncapi/parser';

const LEVELS = ['error', 'warning', 'info', 'hint'];
const { document, diagnostics } = await new Parser().parse(await readFile(argv[2], 'utf8'));
for (const { severity, code, path, message } of diagnostics) {
  console.log(`${LEVELS[severity]} ${code} at ${path.join('/') || '/'}: ${message}`);
}
const counts = LEVELS.map((name, level) => [name, diagnostics.filter((d) => d.severity === level).length]);
if (document) {
  const parts = ['channels', 'operations', 'messages'].map((n) => `${document[n]().all().length} ${n}`);
  console.log(`AsyncAPI ${document.version()}: ${parts.join(', ')}`);
}
console.log(counts.map(([name, count]) => `${name} ${count}`).join(', '));
exit(counts[0][1] || !document ? 1 : 0);
