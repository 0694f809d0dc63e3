"""What runs in the account: the template, its policies, the state machine from an approval to the fleet, and its functions."""
