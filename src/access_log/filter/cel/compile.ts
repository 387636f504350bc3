// Turns the tree of an expression into closures, and says at the start what can never work.

import type { ASTNode } from '@marcbachmann/cel-js';
import { entryOf } from '../names.ts';
import { arithmetic, negation, type Operator } from './arithmetic.ts';
import { listNode, mapNode, member } from './collections.ts';
import { comparison, membership, type Relation } from './compare.ts';
import { FieldNodes } from './fields.ts';
import { call } from './functions.ts';
import { type Loop, loopNode, loops } from './loops.ts';
import {
  boolNode,
  constantNode,
  ERROR,
  FALSE,
  faultNode,
  folded,
  type Node,
  numberNode,
  settle,
  TRUE,
  testOf,
  valueNode,
} from './node.ts';
import { type Path, pathOf, resolve, unknownName } from './path.ts';
import { CelError } from './problem.ts';
import { matches, textSearch } from './text_functions.ts';
import { FAULT, type Result, type Value } from './values.ts';

/** A variable of a loop or of cel.bind. */
export type Scope = {
  readonly name: string;
  readonly node: Node;
  readonly outer: Scope | undefined;
};

/** One expression being compiled. */
export class Compiler {
  readonly fields = new FieldNodes();
  /** Problems that Envoy would not notice before it evaluates: with `lenient` they are only told. */
  readonly warnings: CelError[] = [];
  readonly #lenient: boolean;

  constructor(lenient: boolean) {
    this.#lenient = lenient;
  }

  compile(ast: ASTNode, scope?: Scope): Node {
    try {
      return this.#node(ast, scope);
    } catch (error) {
      const isFatal = !(error instanceof CelError) || error.message.startsWith('unknown function');
      if (!this.#lenient || isFatal) throw error;
      this.warnings.push(error);
      return faultNode(ast);
    }
  }

  #node(ast: ASTNode, scope: Scope | undefined): Node {
    switch (ast.op) {
      case 'value':
        return constantNode(ast, literal(ast.args));
      case 'id':
      case '.':
      case '[]':
        return this.#access(ast, scope);
      case 'call':
        return this.#call(ast, ast.args[0], ast.args[1], scope);
      case 'rcall':
        return this.#method(ast, scope);
      case 'list':
        return listNode(ast, this.#all(ast.args, scope));
      case 'map':
        return mapNode(ast, this.#all(ast.args.flat(), scope));
      case '||':
      case '&&':
        return this.#logic(ast, ast.op === '||' ? TRUE : FALSE, ast.args, scope);
      case '!_':
        return this.#not(ast, ast.args, scope);
      case '-_':
        return negation(ast, this.compile(ast.args, scope));
      case '?:':
        return this.#choice(ast, ast.args, scope);
      default:
        return this.#binary(ast, scope);
    }
  }

  #all(items: readonly ASTNode[], scope: Scope | undefined): Node[] {
    return items.map((item) => settle(this.compile(item, scope)));
  }

  #binary(ast: ASTNode, scope: Scope | undefined): Node {
    const [l, r] = ast.args as [ASTNode, ASTNode];
    const left = this.compile(l, scope);
    if (ast.op === 'in') return this.#in(ast, left, r, scope);
    const sides = [left, this.compile(r, scope)] as const;
    if ('+-*/%'.includes(ast.op)) return arithmetic(ast, ast.op as Operator, sides);
    return folded(comparison(ast, ast.op as Relation, sides), sides);
  }

  #in(ast: ASTNode, item: Node, inside: ASTNode, scope: Scope | undefined): Node {
    const key = item.constant;
    const path = typeof key === 'string' ? pathOf(inside) : undefined;
    const resolved =
      path && lookupScope(scope, path.root) === undefined ? resolve(path) : undefined;
    if (typeof key === 'string' && resolved !== undefined && resolved.used === path!.keys.length) {
      const { target } = resolved;
      if ('map' in target) return this.fields.has(ast, entryOf(target.map, key));
      if (target.named.kind === 'flags') return this.fields.hasFlag(ast, key);
    }
    const all = settle(this.compile(inside, scope));
    return folded(membership(ast, item, all), [item, all]);
  }

  #access(ast: ASTNode, scope: Scope | undefined): Node {
    const path = pathOf(ast);
    const local = path && lookupScope(scope, path.root);
    if (path !== undefined && local === undefined) return this.#named(ast, path);
    if (ast.op === 'id') return local!.node;
    const [of, key] = ast.args as [ASTNode, ASTNode | string];
    const from = this.compile(of, scope);
    if (typeof key === 'string') return member(ast, from, constantNode(ast, key));
    return member(ast, from, this.compile(key, scope));
  }

  #named(ast: ASTNode, path: Path): Node {
    const { target, used } = resolve(path) ?? unknownName(path);
    const at = path.asts[used] ?? ast;
    let node =
      'map' in target ? this.fields.map(at, target.map) : this.fields.value(at, target.named);
    for (let i = used; i < path.keys.length; i++) {
      node = member(path.asts[i + 1]!, node, constantNode(ast, path.keys[i]!));
    }
    return node;
  }

  /** `has(a.b)`; keys in brackets too, because header names have hyphens. */
  #has(ast: ASTNode, argument: ASTNode | undefined, scope: Scope | undefined): Node {
    const isAccess = argument?.op === '.' || argument?.op === '[]' || argument?.op === 'id';
    if (argument === undefined || !isAccess) {
      throw new CelError('has() needs a field, such as has(request.useragent)', ast.start);
    }
    const path = pathOf(argument);
    if (path !== undefined && lookupScope(scope, path.root) === undefined) {
      const { target, used } = resolve(path) ?? unknownName(path);
      if ('named' in target && used === path.keys.length) return this.fields.has(ast, target.named);
    }
    const value = this.compile(argument, scope).value;
    return boolNode(ast, (row) => {
      const found = value(row);
      const isEmptyMap = found instanceof Map && found.size === 0;
      return found === FAULT || isEmptyMap ? FALSE : TRUE;
    });
  }

  #call(ast: ASTNode, name: string, args: readonly ASTNode[], scope: Scope | undefined): Node {
    if (name === 'has') return this.#has(ast, args[0], scope);
    const nodes = args.map((arg) => this.compile(arg, scope));
    if (name === 'matches') return matches(ast, nodes);
    if (name === 'dyn' && nodes.length === 1) return { ...nodes[0]!, type: 'dyn' };
    return call(ast, name, nodes);
  }

  #method(ast: ASTNode, scope: Scope | undefined): Node {
    const [name, of, args] = ast.args as [string, ASTNode, ASTNode[]];
    if (name === 'bind' && of.op === 'id' && of.args === 'cel') return this.#bind(ast, args, scope);
    const kind = loops.get(name);
    const receiver = this.compile(of, scope);
    if (kind !== undefined && args.length >= 2) {
      return this.#loop(ast, { kind, receiver, args }, scope);
    }
    const nodes = [receiver, ...args.map((arg) => this.compile(arg, scope))];
    if (name === 'matches') return matches(ast, nodes);
    return textSearch(ast, name, nodes) ?? call(ast, name, nodes);
  }

  #loop(
    ast: ASTNode,
    parts: { kind: Loop; receiver: Node; args: readonly ASTNode[] },
    scope: Scope | undefined,
  ): Node {
    const [variable, ...rest] = parts.args;
    if (variable?.op !== 'id') {
      throw new CelError('the first argument has to be a name', variable?.start ?? ast.start);
    }
    const slot: { value: Result } = { value: FAULT };
    const node = valueNode(variable, 'dyn', () => slot.value);
    const inner = { name: variable.args, node, outer: scope };
    const bodies = rest.map((body) => this.compile(body, inner));
    const of = settle(parts.receiver);
    if (of.type !== 'list' && of.type !== 'map' && of.type !== 'dyn') {
      throw new CelError(`a loop needs a list or a map, got ${of.type}`, of.ast.start);
    }
    return loopNode(ast, { kind: parts.kind, of, slot, bodies });
  }

  #bind(ast: ASTNode, args: readonly ASTNode[], scope: Scope | undefined): Node {
    const [variable, init, body] = args;
    if (variable?.op !== 'id' || init === undefined || body === undefined) {
      throw new CelError('cel.bind() takes a name, a value and an expression', ast.start);
    }
    const node = this.compile(init, scope);
    return this.compile(body, { name: variable.args, node, outer: scope });
  }

  /** `dominant` decides alone, whatever the other side is, an error included. */
  #logic(
    ast: ASTNode,
    dominant: number,
    sides: readonly [ASTNode, ASTNode],
    scope: Scope | undefined,
  ): Node {
    const nodes = sides.map((side) => this.#truth(side, scope, ast.op));
    const [left, right] = nodes.map(testOf) as [Node['test'] & object, Node['test'] & object];
    const other = dominant === TRUE ? FALSE : TRUE;
    const node = boolNode(ast, (row) => {
      const l = left(row);
      if (l === dominant) return dominant;
      const r = right(row);
      if (r === dominant) return dominant;
      return l === ERROR || r === ERROR ? ERROR : other;
    });
    return folded(node, nodes);
  }

  #not(ast: ASTNode, argument: ASTNode, scope: Scope | undefined): Node {
    const node = this.#truth(argument, scope, '!');
    const test = testOf(node);
    const negated = boolNode(ast, (row) => {
      const truth = test(row);
      return truth === ERROR ? ERROR : truth === TRUE ? FALSE : TRUE;
    });
    return folded(negated, [node]);
  }

  #truth(ast: ASTNode, scope: Scope | undefined, operator: string): Node {
    const node = this.compile(ast, scope);
    if (node.type === 'bool' || node.type === 'dyn') return node;
    throw new CelError(`${operator} needs true or false, got ${node.type}`, ast.start);
  }

  #choice(
    ast: ASTNode,
    [condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode],
    scope: Scope | undefined,
  ): Node {
    const test = testOf(this.#truth(condition, scope, '?:'));
    const [a, b] = [settle(this.compile(yes, scope)), settle(this.compile(no, scope))];
    const type = a.type === b.type ? a.type : 'dyn';
    if (a.test !== undefined && b.test !== undefined) {
      const [first, second] = [a.test, b.test];
      return boolNode(ast, (row) => {
        const truth = test(row);
        return truth === TRUE ? first(row) : truth === FALSE ? second(row) : ERROR;
      });
    }
    if (type !== 'dyn' && a.number !== undefined && b.number !== undefined) {
      const [first, second] = [a.number, b.number];
      return numberNode(ast, type as 'int', (row) => {
        const truth = test(row);
        return truth === TRUE ? first(row) : truth === FALSE ? second(row) : Number.NaN;
      });
    }
    return valueNode(ast, type, (row) => {
      const truth = test(row);
      return truth === TRUE ? a.value(row) : truth === FALSE ? b.value(row) : FAULT;
    });
  }
}

/** A literal of cel-js: an unsigned int is an int to us. */
function literal(value: unknown): Value {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) {
    return value as Value;
  }
  return BigInt(String((value as { value?: unknown }).value ?? value));
}

function lookupScope(scope: Scope | undefined, name: string): Scope | undefined {
  for (let at = scope; at !== undefined; at = at.outer) if (at.name === name) return at;
  return undefined;
}
