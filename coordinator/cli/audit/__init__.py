"""`kilnet audit`: prove a job again on this machine, from what was signed, without trusting the coordinator's word."""
