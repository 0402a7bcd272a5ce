/**
 * For tests of your own plans and stages: stores and servers that misbehave on purpose, and {@linkcode simulate}, which runs a whole
 * plan among their faults and says what must never happen and did.
 *
 * @module
 */
export { type Fault, type FaultKind, faulty, type FaultyStore } from "./faulty.ts";
export { type FaultProxy, faultProxy, type ProxyFault, type ProxyFaultKind } from "./proxy.ts";
export { type Random, random } from "./random.ts";
export { type FaultName, FAULTS } from "./schedule.ts";
export { simulate, type SimulateOptions, type Simulation, type Violation } from "./simulate.ts";
