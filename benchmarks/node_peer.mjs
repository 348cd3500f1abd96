// One machine in aws-local-stepfunctions (npm), in memory, without history. Prints one JSON line.
//   NODE_ASL=/path/to/node_modules/aws-local-stepfunctions node node_peer.mjs MACHINE.json NAME N
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [file, machine, count] = process.argv.slice(2);
const folder = process.env.NODE_ASL;
const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const { StateMachine } = await import(pathToFileURL(path.join(folder, about.module || about.main)));
const { definition, input, transitions } = JSON.parse(fs.readFileSync(file, 'utf8'));
const stateMachine = new StateMachine(definition);
const warmUps = 3;
const walls = [];
let cpu;
for (let round = -warmUps; round < Number(count); round++) {
  if (round === 0) cpu = process.cpuUsage();
  const start = performance.now();
  await stateMachine.run(input).result;
  if (round >= 0) walls.push((performance.now() - start) / 1000);
}
const used = process.cpuUsage(cpu);
const wall = walls.reduce((sum, one) => sum + one, 0);
walls.sort((a, b) => a - b);
const n = walls.length;
console.log(JSON.stringify({
  bench: 'asl_memory',
  engine: 'aws-local-stepfunctions',
  version: about.version,
  node: process.version,
  machine,
  n,
  transitions,
  wall_s: Number(wall.toFixed(3)),
  transitions_per_s: Number((transitions * n / wall).toFixed(1)),
  execs_per_s: Number((n / wall).toFixed(2)),
  cpu_us_per_transition: Number(((used.user + used.system) / (transitions * n)).toFixed(2)),
  p50_ms: Number((1000 * walls[n >> 1]).toFixed(3)),
  rss_mb: Number((process.memoryUsage().rss / 1048576).toFixed(1)),
}));
process.exit(0);
