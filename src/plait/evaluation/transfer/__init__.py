"""What a policy still does when it is asked for what no demonstration showed."""
