from linewatch_agent.capturing import prefix_of


def test_the_things_name_is_a_folder_of_the_prefix_where_it_is_asked_for() -> None:
    assert prefix_of("captures/THING_NAME", "plant-a-0007") == "captures/plant-a-0007"
    assert prefix_of("sme-capture", "plant-a-0007") == "sme-capture"
    assert prefix_of("captures/MY_THING_NAME", "plant-a-0007") == "captures/MY_THING_NAME"
