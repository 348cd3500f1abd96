-- asl.start_execution(state_machine, input, name) starts an execution in the transaction that calls it, and gives its
-- ARN. The execution exists if and only if that transaction commits; workers then find it by themselves.
--
--   state_machine   name or ARN
--   input           JSON, as text, json or jsonb; {} when not given
--   name            of the execution; an id when not given. While it runs, the same name and input give the same one
--
-- What it writes is what engine/store/postgres/starts.py writes, in the plain form of packing.py: a zero byte, then JSON.
-- A version that writes other formats replaces it.
--
-- Spec: execution.md 7. No extension is needed; nothing is notified.

create function asl.start_execution(state_machine text, input text default '{}', name text default null)
returns text
language plpgsql
volatile
security invoker
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $function$
declare
    wanted constant text := start_execution.state_machine;
    given constant text := start_execution.input;
    given_bytes constant int := octet_length(convert_to(start_execution.input, 'UTF8'));
    chosen constant text := start_execution.name;
    now_ms constant bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    plain constant bytea := '\x00';
    machine asl.state_machine;
    document jsonb;
    execution_id uuid;
    execution_name text;
    execution_arn text;
    execution_head json;
    taken uuid;
    known record;
begin
    -- The state machine.
    if wanted like 'arn:%' then
        select m.* into machine from asl.state_machine m where m.arn = wanted;
    else
        select m.* into machine from asl.state_machine m where m.name = wanted order by m.arn limit 1;
        if exists (select from asl.state_machine m where m.name = wanted and m.arn <> machine.arn) then
            raise exception using
                errcode = 'ambiguous_parameter',
                message = format('%L is the name of several state machines, in different regions or accounts', wanted),
                hint = 'Give the ARN in place of the name.';
        end if;
    end if;
    if machine.id is null then
        raise exception using
            errcode = 'undefined_object',
            message = format('State Machine Does Not Exist: ''%s''', coalesce(wanted, 'null')),
            hint = 'Deploy it first: `asl deploy FILE --name NAME`, or Engine.deploy(definition, name).';
    end if;

    -- The name: 1 to 80 characters. White space is spelled out, since what \s means depends on the locale.
    if char_length(chosen) not between 1 and 80 or chosen collate "C" ~ (
        '[\u0001-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufffe\uffff\U0010ffff'
        '<>{}\[\]?*"#%\\^|~`$&,;:/]'
    ) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('Invalid Name: ''%s''', chosen),
            hint = 'Expected 1 to 80 characters, no white space, no control characters, none of <>{}[]?*"#%\^|~`$&,;:/';
    end if;

    -- The input. What is refused here no reader of ours takes: half surrogate pairs, numbers beyond a double, more than
    -- 300 levels. A NUL is a character like any other, which jsonb alone does not know.
    if given is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'Invalid State Machine Execution Input: ''it is null''',
            hint = 'Expected JSON. JSON''s own null is the text ''null''.';
    elsif given_bytes > 262144 then
        raise exception using
            errcode = 'program_limit_exceeded',
            message = format('Invalid State Machine Execution Input: ''%s bytes, at most 262144 are allowed''', given_bytes),
            hint = 'Keep the data in a table, and give the execution its key.';
    end if;
    document := replace(given, '\u0000', '\u0001')::jsonb;
    if jsonb_path_exists(document, 'strict $.**{300 to last} ? (@.type() == "array" || @.type() == "object")') then
        raise exception using
            errcode = 'program_limit_exceeded',
            message = 'Invalid State Machine Execution Input: ''the value is nested too deeply''',
            hint = 'At most 300 arrays and objects may be inside one another.';
    elsif jsonb_path_exists(document, 'strict $.** ? (@.type() == "number" && @.abs() > 1.7976931348623157e308)') then
        raise exception using
            errcode = 'numeric_value_out_of_range',
            message = 'Invalid State Machine Execution Input: ''a number is beyond a double''';
    end if;

    -- UUIDv7: the time, then chance, with the bits of version and variant.
    execution_id := encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid()) placing substring(int8send(now_ms) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid;
    execution_name := coalesce(chosen, execution_id::text);
    if machine.type = 'EXPRESS' then
        execution_arn := replace(machine.arn, ':stateMachine:', ':express:') || ':' || execution_name || ':' || execution_id;
    else
        execution_arn := replace(machine.arn, ':stateMachine:', ':execution:') || ':' || execution_name;
    end if;

    -- A name is taken once. An Express execution's is its own business.
    if chosen is not null and machine.type <> 'EXPRESS' then
        -- Two conditions, not one: a plan that is made for this very name evaluates its cast whatever the pattern says.
        if chosen ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
            if exists (select from asl.execution e where e.id = chosen::uuid and e.state_machine_id = machine.id) then
                raise exception using
                    errcode = 'unique_violation',
                    message = format('Execution Already Exists: ''%s''', execution_arn);
            end if;
        end if;
        -- Again for a name that is given up between the two statements.
        for attempt in 1..3 loop
            insert into asl.execution_name as n (state_machine_id, name, execution_id, input_digest)
            values (machine.id, chosen, execution_id, sha256(convert_to(given, 'UTF8')))
            on conflict do nothing returning n.execution_id into taken;
            exit when taken is not null;
            select n.input_digest = sha256(convert_to(given, 'UTF8')) and exists (
                select from asl.open_execution o where o.id = n.execution_id
            ) as is_same into known
            from asl.execution_name n where n.state_machine_id = machine.id and n.name = chosen;
            if known.is_same then
                return execution_arn;
            elsif not known.is_same then
                raise exception using
                    errcode = 'unique_violation',
                    message = format('Execution Already Exists: ''%s''', execution_arn),
                    hint = 'The same name and input give the same execution, but only while it runs.';
            end if;
        end loop;
        if taken is null then
            raise exception using
                errcode = 'serialization_failure',
                message = format('%s: its name came and went', execution_arn);
        end if;
    end if;

    -- Members as in `Execution`. The eighth is a bound of the input's size: 1e15 is written with 18 bytes.
    execution_head := json_build_array(
        execution_arn, execution_name, machine.type,
        format('arn:aws:iam::%s:role/asl-engine', split_part(machine.arn, ':', 5)),
        machine.arn, machine.name, given::json, 5 * given_bytes, now_ms, 262144, 25000, split_part(machine.arn, ':', 4)
    );
    insert into asl.execution (id, state_machine_id, revision_id, start_time, pool, name, format, head)
    values (execution_id, machine.id, machine.revision_id, now_ms, machine.pool, execution_name, 1,
            plain || convert_to(execution_head::text, 'UTF8'));
    insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot)
    values (execution_id, now_ms, 1, machine.pool, 0,
            '\x000000000000000000ffffffffffffffff'::bytea || plain || convert_to('[0,0,null,[]]', 'UTF8'));
    insert into asl.mail (execution_id, id, sent_at, format, event)
    values (execution_id, execution_id, now_ms, 1,
            plain || convert_to(json_build_array('StartRequested', given)::text, 'UTF8'));
    return execution_arn;
end
$function$;

create function asl.start_execution(state_machine text, input json, name text default null)
returns text
language sql
volatile
security invoker
set search_path = pg_catalog, pg_temp
as $function$
    select asl.start_execution(state_machine, input::text, name)
$function$;

create function asl.start_execution(state_machine text, input jsonb, name text default null)
returns text
language sql
volatile
security invoker
set search_path = pg_catalog, pg_temp
as $function$
    select asl.start_execution(state_machine, input::text, name)
$function$;

comment on function asl.start_execution(text, text, text)
is 'Starts an execution in this transaction and gives its ARN: state machine (name or ARN), input (JSON), name';
