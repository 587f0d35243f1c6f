// Shows the OpenAPI description of the API that serves this page, and tries its routes. What comes from the description or
// from an answer becomes text, never markup.

const ROOT = new URL(location.pathname.endsWith('/') ? '../' : './', location.href);
const METHODS = ['get', 'post', 'put', 'delete'];

/** The element with its attributes and children; strings become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Text in which `backticks` are code. */
function prose(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? element('code', {}, part) : part));
}

const byId = (id) => document.getElementById(id);

/** The schema itself, where it is only named. */
function resolved(schema, description) {
  const name = nameOf(schema);
  return name === undefined ? schema : (description.components.schemas[name] ?? {});
}

function nameOf(schema) {
  return schema?.$ref?.split('/').at(-1);
}

/** `string or null`, `list of Instance`. */
function typeOf(schema) {
  if (schema === false) return 'nothing';
  const name = nameOf(schema);
  if (name !== undefined) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.join(' | ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeOf).join(', ')}]`;
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.type === 'object' && schema.properties === undefined) {
    return `object of ${typeOf(schema.additionalProperties || {})}`;
  }
  return schema.type ?? 'anything';
}

/** The part of a schema that has members: its own, those of its items, of one of its choices. */
function withMembers(schema, description) {
  if (schema === false || schema === undefined) return undefined;
  const plain = resolved(schema, description);
  if (plain.properties !== undefined) return plain;
  if (plain.items) return withMembers(plain.items, description);
  if (plain.anyOf !== undefined) {
    return plain.anyOf.map((one) => withMembers(one, description)).find(Boolean);
  }
  return typeof plain.additionalProperties === 'object'
    ? withMembers(plain.additionalProperties, description)
    : undefined;
}

function memberTable(schema, description, depth = 0) {
  const required = schema.required ?? [];
  const rows = Object.entries(schema.properties).map(([name, member]) => {
    const inner = depth < 4 ? withMembers(member, description) : undefined;
    const about = [
      member.description,
      member.default === undefined ? undefined : `default ${member.default}`,
    ];
    return element(
      'tr',
      {},
      element(
        'td',
        {},
        element('code', {}, name),
        depth > 0 && !required.includes(name) ? ' ?' : '',
      ),
      element('td', {}, element('code', {}, typeOf(member))),
      element(
        'td',
        {},
        ...prose(about.filter(Boolean).join('; ')),
        inner &&
          element(
            'details',
            {},
            element('summary', {}, 'members'),
            memberTable(inner, description, depth + 1),
          ),
      ),
    );
  });
  return element('table', {}, element('tbody', {}, ...rows));
}

function answerPart({ content = {} }, description) {
  const [[type, { schema } = {}] = []] = Object.entries(content);
  if (schema === undefined) return element('p', {}, element('code', {}, type ?? 'nothing'));
  const inner = withMembers(schema, description);
  return element(
    'div',
    {},
    element('p', {}, element('code', {}, typeOf(schema))),
    inner &&
      element('details', {}, element('summary', {}, 'members'), memberTable(inner, description, 1)),
  );
}

function refusals(responses, description) {
  const rows = Object.entries(responses).filter(([status]) => status !== '200');
  const named = rows.map(([status, { $ref }]) => {
    const { description: text } = description.components.responses[$ref.split('/').at(-1)];
    return `${status} ${text}`;
  });
  return element('p', { class: 'note' }, named.join(' · '));
}

/** A form that sends the request, and shows what comes. */
function trial({ method, path, operation }) {
  const variables = (operation.parameters ?? []).map(({ name, in: where }) => {
    const isQuery = where === 'query';
    const input = element('input', { name, required: isQuery ? undefined : '' });
    return { name, input, isQuery, row: element('label', {}, name, input) };
  });
  const body = element('textarea', { spellcheck: 'false', 'aria-label': 'Body as JSON' });
  const takesBody = operation.requestBody !== undefined;
  body.value = takesBody ? '{}' : '';
  const shown = element('pre', { hidden: '' });
  const form = element(
    'form',
    {},
    ...variables.map(({ row }) => row),
    takesBody ? body : undefined,
    element('div', {}, element('button', {}, `Send ${method.toUpperCase()}`)),
    shown,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    let at = path;
    const query = new URLSearchParams();
    for (const { name, input, isQuery } of variables) {
      if (isQuery && input.value !== '') query.set(name, input.value);
      at = at.replace(`{${name}}`, encodeURIComponent(input.value));
    }
    if (query.size > 0) at += `?${query}`;
    shown.hidden = false;
    shown.textContent = '…';
    shown.textContent = await sent(method, at, body.value).catch((error) => String(error));
  });
  return form;
}

/** A browser sends no body with GET: it says that its POST stands for one. */
async function sent(method, path, body) {
  const token = byId('token').value.trim();
  const headers = token === '' ? {} : { Authorization: `Bearer ${token}` };
  const filters = body.trim();
  const isFilteredGet = method === 'get' && filters !== '' && filters !== '{}';
  if (isFilteredGet) headers['X-HTTP-Method-Override'] = 'GET';
  const options = {
    method: isFilteredGet ? 'POST' : method.toUpperCase(),
    headers,
    ...(filters !== '' && (method !== 'get' || isFilteredGet) ? { body } : {}),
  };
  const answer = await fetch(new URL(path.slice(1), ROOT), options);
  const text = await answer.text();
  try {
    const value = JSON.parse(text);
    if (path === '/auth' && value.access_token) byId('token').value = value.access_token;
    return `${answer.status}\n${JSON.stringify(value, null, 2)}`;
  } catch {
    // No JSON: the page, a console's bytes.
    return `${answer.status}\n${text}`;
  }
}

function inside(row, description) {
  const { operation } = row;
  const { requestBody, responses, description: access } = operation;
  const parts = [element('p', { class: 'note' }, ...prose(access))];
  const missing = operation['x-troupe-missing'];
  if (missing !== undefined) {
    parts.push(element('p', {}, `Not there yet: ${missing}. It answers 501.`));
    return element('div', { class: 'inside' }, ...parts);
  }
  for (const {
    name,
    description: about = 'in the address, may be left out',
  } of operation.parameters ?? []) {
    parts.push(element('p', {}, element('code', {}, name), ` ${about}`));
  }
  if (requestBody !== undefined) {
    const schema = requestBody.content['application/json']?.schema;
    const members = schema && memberTable(schema, description);
    parts.push(element('h3', {}, 'Body'), members ?? element('p', {}, 'Bytes, as they are'));
  }
  parts.push(element('h3', {}, 'Answer'), answerPart(responses[200] ?? {}, description));
  parts.push(element('h3', {}, 'Refusals'), refusals(responses, description));
  parts.push(element('h3', {}, 'Try it'), trial(row));
  return element('div', { class: 'inside' }, ...parts);
}

function routeElement(row, description) {
  const { method, path, operation } = row;
  const made = element(
    'details',
    {
      class: operation['x-troupe-missing'] === undefined ? 'route' : 'route missing',
      id: operation.operationId,
    },
    element(
      'summary',
      {},
      element('span', { class: `method ${method}` }, method.toUpperCase()),
      element('span', { class: 'path' }, path),
      element('span', { class: 'note' }, ...prose(operation.summary)),
    ),
  );
  // Made when it is looked at.
  made.addEventListener('toggle', () => {
    if (made.open && made.children.length === 1) made.append(inside(row, description));
  });
  return made;
}

function rowsOf({ paths }) {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => {
      const operation = item[method];
      const text = `${method} ${path} ${operation.summary} ${operation.tags.join(' ')}`;
      return { method, path, operation, text: text.toLowerCase() };
    }),
  );
}

function show(description) {
  byId('version').textContent = description.info.version;
  const rows = rowsOf(description);
  const groups = description.tags.map(({ name }) => {
    const own = rows.filter(({ operation }) => operation.tags.includes(name));
    const elements = own.map((row) => ({ row, made: routeElement(row, description) }));
    const heading = element('h2', { id: `group-${name}` }, name);
    const section = element('section', {}, heading, ...elements.map(({ made }) => made));
    const count = element('span', {}, String(own.length));
    const link = element('a', { href: `#group-${name}` }, name, count);
    return { elements, section, count, link };
  });
  byId('groups').replaceChildren(...groups.map(({ link }) => link));
  byId('routes').replaceChildren(
    element('p', { class: 'note' }, ...prose(description.info.description)),
    ...groups.map(({ section }) => section),
  );
  byId('search').addEventListener('input', ({ target }) => filter(groups, target.value));
}

/** Shows the routes that have every word. */
function filter(groups, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { elements, section, count, link } of groups) {
    let left = 0;
    for (const { row, made } of elements) {
      made.hidden = !words.every((word) => row.text.includes(word));
      if (!made.hidden) left++;
    }
    section.hidden = link.hidden = left === 0;
    count.textContent = String(left);
  }
}

const answer = await fetch(new URL('openapi.json', ROOT));
if (answer.ok) {
  const description = await answer.json();
  show(description);
  const target = location.hash === '' ? null : byId(decodeURIComponent(location.hash.slice(1)));
  if (target !== null) {
    target.open = true;
    target.scrollIntoView();
  }
} else {
  byId('routes').textContent = `The description could not be read: ${answer.status}`;
}
