#!/usr/bin/env escript
%% Messages of 64 bytes from one process to another: prints nanoseconds a message. Beside B3.
%%! +S 1:1 +SDcpu 1:1 +SDio 1
-mode(compile).

main([Text]) ->
    Count = list_to_integer(Text),
    _ = run(Count div 10),
    Rounds = [run(Count) || _ <- lists:seq(1, 9)],
    io:format("~w~n", [lists:nth(5, lists:sort(Rounds))]).

run(Count) ->
    Self = self(),
    Receiver = spawn(fun() -> receiver(Self, Count) end),
    Message = binary:copy(<<7>>, 64),
    Begun = erlang:monotonic_time(nanosecond),
    send(Receiver, Message, Count),
    receive received -> ok end,
    (erlang:monotonic_time(nanosecond) - Begun) / Count.

send(_, _, 0) -> ok;
send(Receiver, Message, Count) ->
    Receiver ! Message,
    send(Receiver, Message, Count - 1).

receiver(Parent, 0) -> Parent ! received;
receiver(Parent, Count) ->
    receive <<_:64/binary>> -> receiver(Parent, Count - 1) end.
