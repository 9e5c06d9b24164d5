from __future__ import annotations

import threading

from bntui.messages.control import Change, Control, Pause, Stop


def test_commands_come_out_in_the_order_they_were_sent() -> None:
    control = Control()
    assert control.poll(0) is None
    control.send(Pause())
    control.send(Change("learning_rate", 0.5))
    assert [control.poll(0), control.poll(0), control.poll(0)] == [Pause(), Change("learning_rate", 0.5), None]


def test_a_scheduled_command_waits_for_its_step_and_goes_first() -> None:
    control = Control([(5, Change("bn", False)), (2, Change("learning_rate", 0.1)), (5, Change("bn", True))])
    control.send(Pause())
    assert control.poll(1) == Pause()
    assert control.poll(1) is None
    assert control.poll(2) == Change("learning_rate", 0.1)
    assert [control.poll(9), control.poll(9), control.poll(9)] == [Change("bn", False), Change("bn", True), None]


def test_waiting_ends_with_a_command_from_another_thread() -> None:
    control = Control()
    thread = threading.Thread(target=control.send, args=(Stop(),))
    thread.start()
    assert control.wait() == Stop()
    thread.join()
    assert control.stopping
